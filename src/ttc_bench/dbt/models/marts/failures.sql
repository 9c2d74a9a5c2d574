-- Failed responses by variant and reason.
with answered as (
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
from {{ ref('int_failures') }} as c
inner join answered as a using (model, benchmark, policy, variant)
order by c.model, c.benchmark, c.policy, c.variant, c.n desc, c.error_class
