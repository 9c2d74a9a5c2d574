-- The scaling curves with what each further sample adds.
select
    *,
    value - lag(value) over (partition by model, benchmark, pool, curve order by k) as gain
from {{ ref('stg_scaling') }}
order by model, benchmark, pool, curve, k
