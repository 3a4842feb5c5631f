-- W1 with DuckDB. What is in capitals is filled in.
set threads = THREADS;
copy (
  select id as custom0,
         case when last_name <> '' then last_name else first_name end as name,
         company, lower(email) as email, phone, city, country,
         title as custom1,
         annual_revenue::bigint as dealAmount,
         strftime(strptime(created_at, '%m/%d/%Y %H:%M'), '%Y-%m-%dT%H:%M:%SZ') as custom2,
         industry as custom3,
         notes
  from read_csv('IN', header = true, all_varchar = true, nullstr = '\N', delim = ',', quote = '"', escape = '"')
  where first_name <> '' or last_name <> '' or company <> ''
) to 'OUT' (format json, use_tmp_file false);
