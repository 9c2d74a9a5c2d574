-- The compute-optimal choice: the best quality that each budget affords, the cheapest of equals.
-- Between two budgets the choice is that of the lower one.
with budgets as (
    select distinct model, benchmark, level, cost_metric, cost as budget
    from {{ ref('frontier') }}
    where on_frontier
),

chosen as (
    select b.budget, p.*
    from budgets as b
    inner join {{ ref('frontier') }} as p using (model, benchmark, level, cost_metric)
    where p.cost <= b.budget
    qualify row_number() over (
        partition by p.model, p.benchmark, p.level, p.cost_metric, b.budget
        order by p.quality desc, p.cost, p.policy, p.variant
    ) = 1
)

select
    c.model,
    c.benchmark,
    c.level,
    c.cost_metric,
    c.budget,
    c.policy,
    c.variant,
    c.quality,
    c.cost,
    c.n,
    c.quality - lag(c.quality) over steps as gain,
    c.quality - base.quality as quality_over_baseline,
    c.cost / nullif(base.cost, 0) as cost_ratio_to_baseline
from chosen as c
left join {{ ref('frontier') }} as base
    on
        c.model = base.model
        and c.benchmark = base.benchmark
        and c.level = base.level
        and c.cost_metric = base.cost_metric
        and base.policy = 'baseline'
        and base.variant = 'greedy'
window steps as (
    partition by c.model, c.benchmark, c.level, c.cost_metric order by c.budget
)
order by c.model, c.benchmark, c.level, c.cost_metric, c.budget
