-- Each variant against baseline.greedy, job by job: only jobs that both answered count.
select
    v.model,
    v.benchmark,
    v.policy,
    v.variant,
    v.metric,
    count(*) as n_pairs,
    avg(b.value) as baseline_mean,
    avg(v.value) as variant_mean,
    avg(v.value - b.value) as mean_difference,
    avg(v.value) / nullif(avg(b.value), 0) as ratio_of_means,
    median(v.value / nullif(b.value, 0)) as median_ratio,
    count(*) filter (where v.value > b.value) as n_above,
    count(*) filter (where v.value < b.value) as n_below,
    count(*) filter (where v.value = b.value) as n_equal
from {{ ref('int_metric_values') }} as v
inner join {{ ref('int_metric_values') }} as b
    on
        v.job_id = b.job_id
        and v.model = b.model
        and v.metric = b.metric
        and b.policy = 'baseline'
        and b.variant = 'greedy'
where v.policy <> 'baseline'
group by v.model, v.benchmark, v.policy, v.variant, v.metric
order by v.model, v.benchmark, v.policy, v.variant, v.metric
