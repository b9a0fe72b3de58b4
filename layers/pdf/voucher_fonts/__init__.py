"""The voucher's fonts, cut by `local/cut_fonts.py`; each licence is beside them."""
