-- Each issue of each day against the covered days among the seven before it.
--
-- Dense: every issue type, for every brand seen on the day or in the seven before. A day
-- that is not covered is no baseline, and what was not found on it is unknown, not zero.
WITH days AS (
    SELECT
        dt,
        rx_add_days(dt, -7) AS week_before,
        max(CASE WHEN day_covered THEN 1 ELSE 0 END) AS covered
    FROM source_coverage
    GROUP BY dt
),
counts AS (
    SELECT dt, brand, issue_type, sum(mentions) AS mentions
    FROM fact_issue_daily
    GROUP BY dt, brand, issue_type
),
seen AS (
    SELECT dt, brand
    FROM counts
    GROUP BY dt, brand
),
brands AS (
    SELECT d.dt, s.brand, max(d.covered) AS covered
    FROM days d
    JOIN seen s ON s.dt >= d.week_before AND s.dt <= d.dt
    GROUP BY d.dt, s.brand
),
grid AS (
    SELECT b.dt, b.brand, b.covered, t.issue_type, t.customer_voice
    FROM brands b
    CROSS JOIN issue_types t
),
voice AS (
    SELECT c.dt, c.brand, sum(c.mentions) AS mentions
    FROM counts c
    JOIN issue_types t ON t.issue_type = c.issue_type
    WHERE t.customer_voice
    GROUP BY c.dt, c.brand
),
-- The days that a day is compared with.
compared AS (
    SELECT d.dt, b.dt AS past
    FROM days d
    JOIN days b ON b.dt >= d.week_before AND b.dt < d.dt
    WHERE b.covered = 1
),
baseline_days AS (
    SELECT dt, count(*) AS days
    FROM compared
    GROUP BY dt
),
baseline AS (
    SELECT d.dt, c.brand, c.issue_type, sum(c.mentions) AS mentions
    FROM compared d
    JOIN counts c ON c.dt = d.past
    GROUP BY d.dt, c.brand, c.issue_type
),
joined AS (
    SELECT
        g.dt, g.brand, g.issue_type, g.customer_voice, g.covered,
        CASE WHEN g.covered = 1 THEN coalesce(c.mentions, 0) ELSE c.mentions END AS mentions,
        v.mentions AS voice_mentions,
        coalesce(n.days, 0) AS baseline_days,
        CASE WHEN n.days >= 4 THEN cast(coalesce(p.mentions, 0) AS double) / n.days END AS baseline_mean
    FROM grid g
    LEFT JOIN counts c ON c.dt = g.dt AND c.brand = g.brand AND c.issue_type = g.issue_type
    LEFT JOIN voice v ON v.dt = g.dt AND v.brand = g.brand
    LEFT JOIN baseline_days n ON n.dt = g.dt
    LEFT JOIN baseline p ON p.dt = g.dt AND p.brand = g.brand AND p.issue_type = g.issue_type
)
SELECT
    dt,
    brand,
    issue_type,
    covered = 1 AS day_covered,
    mentions,
    -- Of customer voice: news, jobs and promotion have no share.
    CASE WHEN customer_voice AND voice_mentions > 0 THEN cast(mentions AS double) / voice_mentions END AS share_of_day,
    baseline_mean,
    baseline_days,
    CASE WHEN covered = 1 THEN mentions - baseline_mean END AS vs_baseline,
    CASE WHEN covered = 1 AND baseline_mean >= 1 THEN mentions / baseline_mean END AS vs_baseline_ratio
FROM joined
