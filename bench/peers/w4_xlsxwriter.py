# W4 with XlsxWriter in constant memory: python3 w4_xlsxwriter.py IN OUT
import csv
import sys

import xlsxwriter

book = xlsxwriter.Workbook(sys.argv[2], {"constant_memory": True, "strings_to_urls": False, "strings_to_formulas": False})
sheet = book.add_worksheet("Sheet1")
with open(sys.argv[1], newline="", encoding="utf-8") as leads:
    for n, lead in enumerate(csv.reader(leads)):
        sheet.write_row(n, 0, lead)
book.close()
