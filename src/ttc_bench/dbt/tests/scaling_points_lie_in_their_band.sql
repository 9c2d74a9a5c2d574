-- low <= value <= high, and k is among the samples.
select *
from {{ ref('scaling') }}
where value < low - 1e-9 or value > high + 1e-9 or k < 1 or k > n_samples
