-- Failed responses counted by reason, as text: `rate_limit: 3, timeout: 1`.
select
    model,
    benchmark,
    policy,
    variant,
    string_agg(error_class || ': ' || n, ', ' order by n desc, error_class) as failures
from {{ ref('failures') }}
group by model, benchmark, policy, variant
