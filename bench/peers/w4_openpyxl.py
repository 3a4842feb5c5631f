# W4 with openpyxl in its write-only mode: python3 w4_openpyxl.py IN OUT
import csv
import sys

import openpyxl

book = openpyxl.Workbook(write_only=True)
sheet = book.create_sheet("Sheet1")
with open(sys.argv[1], newline="", encoding="utf-8") as leads:
    for lead in csv.reader(leads):
        sheet.append(lead)
book.save(sys.argv[2])
