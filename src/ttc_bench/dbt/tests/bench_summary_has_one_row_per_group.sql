select model, benchmark, policy, variant
from {{ ref('bench_summary') }}
group by all
having count(*) > 1
