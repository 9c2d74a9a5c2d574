-- Pareto frontier of mean reward against mean cost. A variant is dominated where another one is
-- at least as good and at most as dear, and better in one of the two; equal ones share the place.
with dominance as (
    select
        a.model,
        a.benchmark,
        a.level,
        a.cost_metric,
        a.policy,
        a.variant,
        first(
            b.policy || '.' || b.variant
            order by b.cost, b.quality desc, b.policy, b.variant
        ) as dominated_by
    from {{ ref('int_quality_cost') }} as a
    inner join {{ ref('int_quality_cost') }} as b
        on
            a.model = b.model
            and a.benchmark = b.benchmark
            and a.level = b.level
            and a.cost_metric = b.cost_metric
            and b.quality >= a.quality
            and b.cost <= a.cost
            and (b.quality > a.quality or b.cost < a.cost)
    group by all
)

select
    p.model,
    p.benchmark,
    p.level,
    p.cost_metric,
    p.policy,
    p.variant,
    p.quality,
    p.cost,
    p.n,
    d.dominated_by is null as on_frontier,
    d.dominated_by
from {{ ref('int_quality_cost') }} as p
left join dominance as d using (model, benchmark, level, cost_metric, policy, variant)
order by p.model, p.benchmark, p.level, p.cost_metric, p.cost, p.quality, p.policy, p.variant
