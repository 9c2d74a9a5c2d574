-- One row per model, benchmark, policy and variant. Metrics are over valid responses only.
select
    s.model,
    s.benchmark,
    s.policy,
    s.variant,
    count(*) as n,
    count(*) filter (where s.is_valid) as n_valid,
    count(*) filter (where not s.is_valid) as n_failed,
    coalesce(any_value(f.failures), '') as failures,
    count(*) filter (where s.replayed) as n_replayed
    {%- for metric in var('metrics') %},
    avg(s.{{ metric }}) filter (where s.is_valid) as {{ metric }}_mean,
    quantile_cont(s.{{ metric }}, 0.5) filter (where s.is_valid) as {{ metric }}_p50,
    quantile_cont(s.{{ metric }}, 0.95) filter (where s.is_valid) as {{ metric }}_p95,
    quantile_cont(s.{{ metric }}, 0.99) filter (where s.is_valid) as {{ metric }}_p99
    {%- endfor %}
from {{ ref('stg_scores') }} as s
left join {{ ref('int_failures') }} as f using (model, benchmark, policy, variant)
group by s.model, s.benchmark, s.policy, s.variant
order by s.model, s.benchmark, s.policy, s.variant
