"""Names of people and hotels as they are written, with dots, signs and abbreviations."""

_PEOPLE = """
Ana Pérez|Ma.José|Ma. José|Mª José|Mª. del Carmen|M.ª Ángeles Gómez
Ma.de los Ángeles Ruiz|MA. DE LA LUZ|Fco.de Asís|Fco. Javier|St. John|St.John|J.R.R. Tolkien
J. R. R. Tolkien|JRR. Tolkien|J.R.R.Tolkien|A.S.Pushkin|А.С.Пушкин|А. С. Пушкин|Ф.М. Достоевский|J.Li
J.Kim|J.Green|J. Li|D.Ng|K.Ma|T.My|H.La|Wm. Smith|Jas.Smith|Chas. Brown|Thos.Green|Geo. White|Robt. Black
Dr. Ng|Dr.Li|Dra.Ruiz|Sr. García|Sra.López|Sr.Don Luis|Mr.Ng|Mrs. Li|Ms.Ma|Prof. Dr. Müller
Prof.Dr.Müller|Dipl.-Ing. Schmidt|Dipl.Ing. Weber|Mag. Huber|Ing. Novák|Mgr. Dvořák|MUDr. Svoboda
JUDr.Novotný|RNDr. Černý|Ph.D. Smith|John Smith, Ph.D.|Ana Ruiz M.D.|John Smith Jr.|John Smith, Jr
John Smith Sr.|King George III.|Martin Luther King, Jr.|Sammy Davis jun.|Karl sen.|H.M. the King|O'Neill
O’Neill|D'Angelo|N'Golo Kanté|L'Hôpital|Jean-Luc Picard|Anne-Marie|Nguyễn Thị Minh Khai|Đặng Thu Thảo
Ngô Đình|Þórdís Guðmundsdóttir|Øyvind Åsen|Łukasz Żółć|Şükrü Yıldız|İbrahim Çelik|Ñusta Quispe
Zoë Saldaña|Björk|Szőke Ágnes|Ștefan Țepeș|Keihanaikukauakahihuliheekahaunaele|Llanfairpwll Jones
van der Meer|von und zu Guttenberg|de la Cruz|da Silva|dos Santos|do Carmo|Αλέξανδρος Παπαδόπουλος
Γ.Π. Παπανδρέου|Ольга Иванова|Олександр Шевченко|Ђорђе Петровић|Гаврило Принцип|Գարեգին Նժդեհ
გიორგი ბერიძე|محمد عبد الله|م. علي|علی‌رضا کریمی|د. أحمد زويل|שלום כהן|ד"ר לוי|ج.ب. غصوب|فاطمة الزهراء
עו"ד כהן|اکبر خان|अमिताभ बच्चन|आर. के. नारायण|आर.के. लक्ष्मण|రామారావు ఎన్.టి.|எம்.ஜி. ராமச்சந்திரன்
எம். எஸ். சுப்புலட்சுமி|ಎಂ.ವಿಶ್ವೇಶ್ವರಯ್ಯ|കെ.ജെ. യേശുദാസ്|রবীন্দ্রনাথ ঠাকুর|এ.কে. ফজলুল হক|ਗੁਰੂ ਨਾਨਕ
ગાંધી મોહનદાસ|ක.ජී. පෙරේරා|สมชาย ใจดี|พ.ต.อ. สมชาย|ดร. สมหญิง|ສົມພອນ|သန်းရွှေ|ខៀវ សំផន|አበበ ቢቂላ|王小明|黃美玲
吳志明|陳國榮|山田 太郎|山田・太郎|渡邊 陽子|髙橋|ジョン・スミス|J・K・ローリング|김철수|이 순신
Li Na|Ng Siew Ling|Ma Long|La Toya|Me Lo
Ai Weiwei|Wu Yi|Io Tillett|Al Pacino|Bo Derek|Cy Twombly|Ed Wood|Jo March|Mo Farah|Vi Hart
E.T.A. Hoffmann|C.S. Lewis|T.S.Eliot|W.E.B. Du Bois|P.T. Barnum|B.B. King|A.A.Milne|D.H. Lawrence
H.G. Wells|G.K.Chesterton|e.e. cummings|M. Night Shyamalan|Harry S Truman|Samuel L. Jackson
Michael J. Fox|J.Lo|J.J. Abrams|R.L.Stine|V.S. Naipaul|K.R. Meera|A.P.J. Abdul Kalam|S.Pérez|Pérez, A.
Pérez A.B.|García Márquez, G.|A. & B. Ruiz|Ana (mamá)|Ana/Luis|Ana + 2|Ruiz y Cía.|Cía. Ruiz|Hnos. Ruiz
Vda. de Ruiz|Md.Al-Amin Hossain|md.al-amin hossain|Ana Fdez.de Córdoba|Hdez.de León|María Vda.de López
MARÍA VDA.DE LÓPEZ
Fam.de Vries|Dhr.de Jong|Dott.La Rosa|Avv.De Rosa|Dipl.-Ing.Weber|Dr.med.Weber|Mme.Li|Chr.Schmidt
Eng.Al-Sayed|Engr.Ng|N.Al-Sayed|Ibn.Sina|De.La.Cruz|Mr/Mrs.Li|Mr.et Mme Li
"""
_HOTELS = """
Hotel Sol, doble|Hostal «El Faro», 2 camas|Hotel St. Moritz|Hotel St.Moritz|Hotel Sta. María|Sto. Domingo
Gran Hotel S.A.|Hotel Ruiz S.L.|Hotel Ruiz, S.L.U.|Ritz-Carlton|W Hotel|Hotel B&B|NH Collection
H10 Marina|Room Mate Óscar|Hotel 1898|Hotel 4.5 estrellas|Hotel 5*|Hotel ★★★★|Apto. 2 hab.|Apto.2
Hab. doble c/ desayuno|Hab.doble|Hab. indiv. 1 pers.|2 pers. a 45.50 EUR|2 noches.Desayuno incluido
Nº 5, 3.ª planta|3º dcha.|Av. Diagonal 12|Avda.Diagonal|C/ Mayor, 3|Pl. Mayor|Pza. España
Ctra. N-340 km. 5,3|Km.5|P.º Castellana|Urb. Las Flores|Edif. Sol|Bda. Norte|Hotel Villa d'Este
Hôtel de l'Europe|Pension „Zur Post“|Gasthof z. Post|Zimmer m. Bad|inkl. Frühstück|St. Pölten
Bad St. Leonhard|a.d. Donau|Frankfurt a.M.|Rothenburg o.d.T.|Stratford-upon-Avon|King's Cross
Mt. Fuji View|Ft. Lauderdale|Washington D.C.|Washington, D.C.|U.S. Hotel|L.A. Inn|S. Paulo
São João del-Rei|N.Sra. de Fátima|Nª Sra. del Pilar|D. Pedro|Qta. do Lago|R. Augusta, 10|Apt.º T2
Hotel V. Real|Al Maha|Ras al-Khaimah|Hotel Sol (todo incl.)|Media pensión; vistas al mar
Check-in 15:00 h.|Salida 12.00 h|2027-05-01 a 2027-05-04|01/05/2027 - 04/05/2027|東京ホテル|香港灣仔酒店
Avda.de la Paz, 3|Avda.de las Américas|Hotel Pto.de la Cruz|Qta.do Lago|Nª.Sª.del Carmen|Cad.No:12|Sok.No:12/3
Tel.No.12345|Co.Ltd.|CO.LTD.|& Co.KG|Club.Med|Desayuno.No incluido|Room only.Is quiet|Hotel Sol.Paris
Отель «Москва»|г. Москва, ул. Тверская|Ξενοδοχείο Ήλιος|호텔 신라|โรงแรม สยาม|होटल ताज|فندق الشمس|מלון דן
"""


def _listed(text: str) -> list[str]:
    return text.strip().replace("\n", "|").split("|")


PEOPLE, HOTELS = _listed(_PEOPLE), _listed(_HOTELS)
