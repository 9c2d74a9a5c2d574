-- The summaries of all runs. A run of the same name, model and configuration replaces its rows.
{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key=['run_id', 'model', 'config'],
    on_schema_change='append_new_columns'
) }}
select
    r.run_id,
    r.config,
    now() at time zone 'UTC' as recorded_at,
    s.*
from {{ ref('bench_summary') }} as s
inner join (
    select distinct run_id, config, model from {{ ref('stg_scores') }}
) as r using (model)
