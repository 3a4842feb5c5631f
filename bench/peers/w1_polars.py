# W1 with Polars, the whole table in memory: python3 w1_polars.py IN OUT
import sys

import polars
from polars import col

leads = polars.read_csv(sys.argv[1], infer_schema_length=0, missing_utf8_is_empty_string=True)
leads.filter((col("first_name") != "") | (col("last_name") != "") | (col("company") != "")).select(
    col("id").alias("custom0"),
    polars.when(col("last_name") != "").then(col("last_name")).otherwise(col("first_name")).alias("name"),
    col("company"), col("email").str.to_lowercase(), col("phone"), col("city"), col("country"),
    col("title").alias("custom1"),
    col("annual_revenue").cast(polars.Int64).alias("dealAmount"),
    col("created_at").str.to_datetime("%m/%d/%Y %H:%M").dt.strftime("%Y-%m-%dT%H:%M:%SZ").alias("custom2"),
    col("industry").alias("custom3"), col("notes"),
).write_ndjson(sys.argv[2])
