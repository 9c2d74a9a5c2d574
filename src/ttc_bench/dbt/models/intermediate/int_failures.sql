-- Failed responses counted by variant and reason.
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
