# W3 with openpyxl in its read-only mode: python3 w3_openpyxl.py IN OUT
import csv
import sys

import openpyxl

book = openpyxl.load_workbook(sys.argv[1], read_only=True)
with open(sys.argv[2], "w", newline="", encoding="utf-8") as out:
    csv.writer(out, lineterminator="\n").writerows(book.worksheets[0].iter_rows(values_only=True))
