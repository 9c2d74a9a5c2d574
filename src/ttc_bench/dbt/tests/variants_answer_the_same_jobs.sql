-- Every variant of a model and benchmark has as many responses as the largest: none lost.
with counted as (
    select model, benchmark, policy, variant, count(distinct job_id) as n
    from {{ ref('stg_scores') }}
    group by all
)
select *
from counted
qualify n <> max(n) over (partition by model, benchmark)
