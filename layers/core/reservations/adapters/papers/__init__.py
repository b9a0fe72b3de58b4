"""The voucher as a PDF and the mails as text."""
