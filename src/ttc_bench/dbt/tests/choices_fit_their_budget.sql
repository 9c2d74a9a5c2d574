-- No choice costs more than its budget, and every choice is on the frontier.
select c.*
from {{ ref('choices') }} as c
left join {{ ref('frontier') }} as f
    using (model, benchmark, level, cost_metric, policy, variant)
where c.cost > c.budget or not coalesce(f.on_frontier, false)
