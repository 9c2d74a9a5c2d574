-- Every job has exactly one response per variant: none doubled.
select model, policy, variant, job_id, count(*) as n
from {{ ref('stg_scores') }}
group by all
having count(*) <> 1
