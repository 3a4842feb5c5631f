# W1 with pandas, 50,000 rows at a time: python3 w1_pandas.py IN OUT
import sys

import pandas

names = {"id": "custom0", "last_name": "name", "company": "company", "email": "email", "phone": "phone", "city": "city", "country": "country",
         "title": "custom1", "annual_revenue": "dealAmount", "created_at": "custom2", "industry": "custom3", "notes": "notes"}
with open(sys.argv[2], "w", encoding="utf-8") as out:
    for leads in pandas.read_csv(sys.argv[1], chunksize=50_000, dtype=str, keep_default_na=False, usecols=[*names, "first_name"]):
        leads = leads[(leads.first_name != "") | (leads.last_name != "") | (leads.company != "")].copy()
        leads["last_name"] = leads.last_name.where(leads.last_name != "", leads.first_name)
        leads["email"] = leads.email.str.lower()
        leads["annual_revenue"] = leads.annual_revenue.astype("int64")
        leads["created_at"] = pandas.to_datetime(leads.created_at, format="%m/%d/%Y %H:%M").dt.strftime("%Y-%m-%dT%H:%M:%SZ")
        leads[list(names)].rename(columns=names).to_json(out, orient="records", lines=True, force_ascii=False)
