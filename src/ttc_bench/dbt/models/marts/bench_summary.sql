-- One row per model, benchmark, policy and variant. The reward of a failed response is 0, all other
-- metrics are over valid responses only; nulls are the valid responses that do not have the metric.
-- A bill that is not known of all valid responses has no mean and no quantile.
{%- set quantiles = {'p50': 1, 'p95': 2, 'p99': 3} %}
with grouped as (
    select
        model,
        benchmark,
        policy,
        variant,
        count(*) as n,
        count(*) filter (where is_valid) as n_valid,
        count(*) filter (where not is_valid) as n_failed,
        count(*) filter (where replayed or spent_calls < calls) as n_replayed
        {%- for metric in var('metrics') %},
        count({{ metric }}) as {{ metric }}_known,
        {%- set counted = 'case when is_valid then reward else 0 end' if metric == 'reward' else metric %}
        {%- set whole = 'case when count(' ~ metric ~ ') = count_if(is_valid) then ' if metric in var('bills') %}
        {{ whole }}avg({{ counted }}){{ ' end' if whole }} as {{ metric }}_mean,
        {{ whole }}quantile_cont({{ counted }}, [0.5, 0.95, 0.99]){{ ' end' if whole }}
            as {{ metric }}_quantiles
        {%- endfor %}
    from {{ ref('stg_scores') }}
    group by model, benchmark, policy, variant
),

reasons as (
    select
        model,
        benchmark,
        policy,
        variant,
        string_agg(error_class || ': ' || n, ', ' order by n desc, error_class) as failures
    from {{ ref('int_failures') }}
    group by model, benchmark, policy, variant
)

select
    g.model,
    g.benchmark,
    g.policy,
    g.variant,
    g.n,
    g.n_valid,
    g.n_failed,
    coalesce(f.failures, '') as failures,
    g.n_replayed
    {%- for metric in var('metrics') %},
    g.{{ metric }}_mean
    {%- for name, place in quantiles.items() %},
    g.{{ metric }}_quantiles[{{ place }}] as {{ metric }}_{{ name }}
    {%- endfor %},
    g.n_valid - g.{{ metric }}_known as {{ metric }}_nulls
    {%- endfor %}
from grouped as g
left join reasons as f using (model, benchmark, policy, variant)
order by g.model, g.benchmark, g.policy, g.variant
