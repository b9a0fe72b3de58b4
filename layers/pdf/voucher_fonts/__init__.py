"""The voucher's fonts, cut by `tools/cut_fonts.py`; each licence is beside them."""
