// Shows the committed contract in Spanish, or in English with `?en`.
const english = location.search === "?en";
if (english) document.documentElement.lang = "en";
const fonts = { fontFamily: "system-ui, sans-serif", headings: { fontFamily: "system-ui, sans-serif" } };
Redoc.init(
  english ? "../contratos/openapi.en.yaml" : "../contratos/openapi.yaml",
  { theme: { typography: fonts }, hideDownloadButton: true, disableSearch: false },
  document.getElementById("contract"),
);
