# W1 with Python's own csv and json: python3 w1_csv.py IN OUT
import csv
import json
import sys
from datetime import datetime

encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
with open(sys.argv[1], newline="", encoding="utf-8") as leads, open(sys.argv[2], "w", encoding="utf-8") as out:
    for lead in csv.DictReader(leads):
        name = lead["last_name"] or lead["first_name"]
        if not name and not lead["company"]:
            continue
        created = datetime.strptime(lead["created_at"], "%m/%d/%Y %H:%M")
        out.write(encode({
            "custom0": lead["id"], "name": name, "company": lead["company"], "email": lead["email"].lower(),
            "phone": lead["phone"], "city": lead["city"], "country": lead["country"], "custom1": lead["title"],
            "dealAmount": int(lead["annual_revenue"]), "custom2": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "custom3": lead["industry"], "notes": lead["notes"],
        }) + "\n")
