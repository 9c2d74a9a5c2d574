-- Every variant of a model and benchmark answers every job that any of them answers: none lost.
with wanted as (
    select model, benchmark, count(distinct job_id) as n_jobs
    from {{ ref('stg_scores') }}
    group by all
),

counted as (
    select model, benchmark, policy, variant, count(distinct job_id) as n
    from {{ ref('stg_scores') }}
    group by all
)

select *
from counted
inner join wanted using (model, benchmark)
where n <> n_jobs
