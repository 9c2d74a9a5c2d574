-- Failed responses counted by reason, as text: `rate_limit: 3, timeout: 1`.
with counted as (
    select model, benchmark, policy, variant, coalesce(error_type, 'unknown') as reason, count(*) as n
    from {{ ref('stg_scores') }}
    where not is_valid
    group by all
)
select
    model, benchmark, policy, variant,
    string_agg(reason || ': ' || n, ', ' order by n desc, reason) as failures
from counted
group by all
