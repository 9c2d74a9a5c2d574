-- Mean reward, 0 for a failed response, and mean cost of the valid ones, of each variant, by
-- difficulty level and over all, for each cost that is known: a bill of all of them, a time of
-- those that were timed. Means are rounded: equal values summed in another order must not dominate
-- each other.
{%- set costs = var('costs') %}
{%- set job = 'partition by model, benchmark, job_id' %}
{%- set benchmark = 'partition by model, benchmark' %}
-- Variants ran at different times on a machine that drifts: the time of each on a job is taken in
-- units of its own control's, and those at the mean pace of all controls of the job, which is the
-- baseline's time. Without controls times are as they were read. Those of some jobs stand for all.
with paced as (
    select
        *,
        case
            when count(control_latency_s) over ({{ benchmark }}) = 0 then latency_s
            when policy = 'baseline' then avg(control_latency_s) over ({{ job }})
            else latency_s / control_latency_s * avg(control_latency_s) over ({{ job }})
        end as paced_latency_s
    from {{ ref('stg_scores') }}
),

wide as (
    select
        model,
        benchmark,
        policy,
        variant,
        case when grouping(difficulty) = 1 then 'all' else difficulty end as level
        {%- for cost, column in costs.items() %},
        count({{ column }}) as {{ cost }}_n,
        favg({{ column }}) as {{ cost }}_cost
        {%- endfor %},
        count(*) filter (where is_valid) as n_valid,
        favg(case when is_valid then reward else 0 end) as quality
    from paced
    where not is_valid or reward is not null
    group by grouping sets (
        (model, benchmark, policy, variant),
        (model, benchmark, policy, variant, difficulty)
    )
),

long as (
    {%- for cost, column in costs.items() %}
    {{ 'union all' if not loop.first }}
    select
        model,
        benchmark,
        level,
        '{{ cost }}' as cost_metric,
        policy,
        variant,
        round(quality, 12) as quality,
        round({{ cost }}_cost, 12) as cost,
        {{ cost }}_n as n
    from wide
    where level is not null and {{ cost }}_n > 0
        {%- if column in var('bills') %} and {{ cost }}_n = n_valid{% endif %}
    {%- endfor %}
)

-- A cost that nobody pays, such as the dollars of a model of one's own, weighs nothing.
select *
from long
qualify max(cost) over (partition by model, benchmark, cost_metric) > 0
