-- All scores of a build carry the same run and configuration.
select count(*) as n_runs
from (select distinct run_id, config from {{ ref('stg_scores') }})
having count(*) > 1
