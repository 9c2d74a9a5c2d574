-- Valid and failed responses add up to all, and the failures mart to the failed ones.
with failed as (
    select model, benchmark, policy, variant, sum(n) as n_reasons
    from {{ ref('failures') }}
    group by all
)

select *
from {{ ref('bench_summary') }}
left join failed using (model, benchmark, policy, variant)
where n <> n_valid + n_failed or n_failed <> coalesce(n_reasons, 0)
