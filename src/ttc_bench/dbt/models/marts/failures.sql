-- Failed responses by variant and reason.
with counted as (
    select
        model,
        benchmark,
        policy,
        variant,
        coalesce(error_type, 'unknown') as error_class,
        count(*) as n,
        min(error_message) as example
    from {{ ref('stg_scores') }}
    where not is_valid
    group by all
),

answered as (
    select model, benchmark, policy, variant, count(*) as n_responses
    from {{ ref('stg_scores') }}
    group by all
)

select
    c.model,
    c.benchmark,
    c.policy,
    c.variant,
    c.error_class,
    c.n,
    c.n / a.n_responses as share,
    c.example
from counted as c
inner join answered as a using (model, benchmark, policy, variant)
order by c.model, c.benchmark, c.policy, c.variant, c.n desc, c.error_class
