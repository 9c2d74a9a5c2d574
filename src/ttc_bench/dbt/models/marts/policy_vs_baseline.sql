-- Each variant against baseline.greedy, job by job: only jobs that both answered count. A bill with
-- a gap on either side is not compared: what is left would be of other questions.
-- All metrics are aggregated in one pass; a row per metric comes after. (count_if takes
-- a third of the time of count with a filter.)
with wide as materialized (
    select
        model,
        benchmark,
        policy,
        variant
        {%- for metric in var('metrics') %}
        {%- set own = 'own_' ~ metric %}
        {%- set base = 'base_' ~ metric %},
        struct_pack(
            n_pairs := count({{ own }}),
            baseline_mean := avg({{ base }}),
            variant_mean := avg({{ own }}),
            mean_difference := avg({{ own }} - {{ base }}),
            ratio_of_means := avg({{ own }}) / nullif(avg({{ base }}), 0),
            median_ratio := median({{ own }} / nullif({{ base }}, 0)),
            n_above := count_if({{ own }} > {{ base }}),
            n_below := count_if({{ own }} < {{ base }}),
            n_equal := count_if({{ own }} = {{ base }})
        ) as {{ metric }}
        {%- endfor %}
    from {{ ref('int_pairs') }}
    group by model, benchmark, policy, variant
),

long as (
    {%- for metric in var('metrics') %}
    {{ 'union all' if not loop.first }}
    select model, benchmark, policy, variant, '{{ metric }}' as metric, {{ metric }} as figures
    from wide
    {%- if metric in var('bills') %}
    where not exists (
        from {{ ref('bench_summary') }} as own
        where
            own.{{ metric }}_nulls > 0
            and (own.model, own.benchmark) = (wide.model, wide.benchmark)
            and (own.policy, own.variant)
            in ((wide.policy, wide.variant), ('baseline', 'greedy'))
    )
    {%- endif %}
    {%- endfor %}
)

select model, benchmark, policy, variant, metric, unnest(figures)
from long
where figures.n_pairs > 0
order by model, benchmark, policy, variant, metric
