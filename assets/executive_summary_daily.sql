-- One row for each day and brand: how much was said, how it sounds, what it is about, what is
-- dangerous, what changed, and the same in a few sentences.
--
-- Dense as issue_trend_daily is: every brand seen on the day or in the seven before. On a day
-- that is not covered only lower bounds are given, what was found of mentions and of high
-- risk; never zero, and nothing is compared.
--
-- The sentences are made of this row's numbers, of titles of the project's own tables and of
-- post ids. Text of a post, or of a model, is never in them.
WITH lowest AS (
    SELECT min(priority) AS priority
    FROM issue_types
),
-- Whole numbers: the sum of the baseline's days, not its mean, so that comparing is exact.
trend AS (
    SELECT
        t.dt, t.brand, t.issue_type, t.day_covered, t.mentions, t.baseline_days,
        i.title, i.priority, i.customer_voice,
        -- The fallback says that a post is of no issue in particular.
        i.priority > l.priority AS named,
        cast(round(t.baseline_mean * t.baseline_days) AS bigint) AS past
    FROM issue_trend_daily t
    JOIN issue_types i ON i.issue_type = t.issue_type
    CROSS JOIN lowest l
),
days AS (
    SELECT
        dt, brand, day_covered,
        sum(mentions) AS mentions,
        max(baseline_days) AS baseline_days,
        sum(past) AS past
    FROM trend
    GROUP BY dt, brand, day_covered
),
-- Customer voice only: news, jobs and promotion have no sentiment that counts and no risk.
voice AS (
    SELECT
        s.dt, s.brand, s.post_id, s.issue_type, s.sentiment, s.risk_level, s.risk_category,
        rx_engagement(s.score, s.num_comments) AS reach,
        -- Ids are shown in sentences; one that is more than an id is not.
        regexp_like(s.post_id, '^[A-Za-z0-9_.:=+/~-]{1,120}$') AS plain
    FROM post_signals s
    JOIN issue_types i ON i.issue_type = s.issue_type
    WHERE i.customer_voice
),
moods AS (
    SELECT
        dt, brand,
        count(*) AS posts,
        count(*) FILTER (WHERE sentiment = 'positive') AS positive,
        count(*) FILTER (WHERE sentiment = 'neutral') AS neutral,
        count(*) FILTER (WHERE sentiment = 'negative') AS negative,
        count(*) FILTER (WHERE risk_level = 'high') AS high,
        count(*) FILTER (WHERE risk_level = 'high' AND risk_category = 'patient_safety') AS safety
    FROM voice
    GROUP BY dt, brand
),
-- The posts at high risk that most people met.
risks AS (
    SELECT
        dt, brand, post_id, plain,
        row_number() OVER (PARTITION BY dt, brand ORDER BY reach DESC NULLS LAST, post_id NULLS LAST) AS place
    FROM voice
    WHERE risk_level = 'high'
),
risky AS (
    SELECT
        dt, brand,
        concat_ws(', ',
            max(CASE WHEN place = 1 THEN post_id END),
            max(CASE WHEN place = 2 THEN post_id END),
            max(CASE WHEN place = 3 THEN post_id END)
        ) AS posts,
        concat_ws(' ',
            max(CASE WHEN place = 1 AND plain THEN '[' || post_id || ']' END),
            max(CASE WHEN place = 2 AND plain THEN '[' || post_id || ']' END),
            max(CASE WHEN place = 3 AND plain THEN '[' || post_id || ']' END)
        ) AS cited
    FROM risks
    WHERE place <= 3
    GROUP BY dt, brand
),
-- One post to show an issue by.
shown AS (
    SELECT
        dt, brand, issue_type, post_id, plain,
        row_number() OVER (PARTITION BY dt, brand, issue_type ORDER BY reach DESC NULLS LAST, post_id NULLS LAST) AS place
    FROM voice
),
issues AS (
    SELECT
        dt, brand, issue_type, title, mentions,
        row_number() OVER (
            PARTITION BY dt, brand
            ORDER BY mentions DESC NULLS LAST, priority DESC NULLS LAST, issue_type NULLS LAST
        ) AS place
    FROM trend
    WHERE named AND customer_voice AND day_covered AND mentions > 0
),
issue AS (
    SELECT i.dt, i.brand, i.issue_type, i.title, i.mentions, s.post_id, s.plain
    FROM issues i
    LEFT JOIN shown s ON s.dt = i.dt AND s.brand = i.brand AND s.issue_type = i.issue_type AND s.place = 1
    WHERE i.place = 1
),
feedback AS (
    SELECT
        v.dt, v.brand, v.post_id, v.reach, v.plain, f.theme_id, f.theme,
        f.is_llm AND f.risk_level = 'high' AND v.risk_level <> 'high' AS further
    FROM general_feedback_ai f
    JOIN voice v ON v.dt = f.dt AND v.post_id = f.post_id
),
-- What a language model finds dangerous and the rules do not: said apart, because the count at
-- high risk is that of the tiles, and never hidden behind "none".
further_places AS (
    SELECT
        dt, brand, post_id, plain,
        row_number() OVER (PARTITION BY dt, brand ORDER BY reach DESC NULLS LAST, post_id NULLS LAST) AS place
    FROM feedback
    WHERE further
),
further AS (
    SELECT
        dt, brand,
        count(*) AS posts,
        concat_ws(' ',
            max(CASE WHEN place = 1 AND plain THEN '[' || post_id || ']' END),
            max(CASE WHEN place = 2 AND plain THEN '[' || post_id || ']' END),
            max(CASE WHEN place = 3 AND plain THEN '[' || post_id || ']' END)
        ) AS cited
    FROM further_places
    GROUP BY dt, brand
),
feedback_posts AS (
    SELECT dt, brand, count(*) AS posts
    FROM feedback
    GROUP BY dt, brand
),
-- Themes of the list only: a new one is a model's phrase, of which `rxpulse themes` shows all.
themes AS (
    SELECT dt, brand, theme_id, max(theme) AS title, count(*) AS mentions
    FROM feedback
    WHERE theme_id IS NOT NULL AND theme_id <> 'new' AND theme_id <> ''
    GROUP BY dt, brand, theme_id
),
theme_places AS (
    SELECT
        dt, brand, theme_id, title, mentions,
        row_number() OVER (PARTITION BY dt, brand ORDER BY mentions DESC NULLS LAST, theme_id NULLS LAST) AS place
    FROM themes
),
theme_posts AS (
    SELECT
        dt, brand, theme_id, post_id, plain,
        row_number() OVER (PARTITION BY dt, brand, theme_id ORDER BY reach DESC NULLS LAST, post_id NULLS LAST) AS place
    FROM feedback
),
theme AS (
    SELECT t.dt, t.brand, t.theme_id, coalesce(nullif(t.title, ''), t.theme_id) AS title, t.mentions, p.post_id, p.plain
    FROM theme_places t
    LEFT JOIN theme_posts p ON p.dt = t.dt AND p.brand = t.brand AND p.theme_id = t.theme_id AND p.place = 1
    WHERE t.place = 1
),
-- A rise: at least ten mentions, and half as many again as usual. A fall: the same backwards.
moves AS (
    SELECT
        dt, brand, issue_type, title, mentions,
        mentions * baseline_days - past AS difference,
        -- Tenths of the mean, rounded.
        cast(floor(cast(20 * past + baseline_days AS double) / (2 * baseline_days)) AS bigint) AS tenths,
        mentions >= 10 AND past >= baseline_days AND 2 * mentions * baseline_days >= 3 * past AS rise,
        past >= 10 * baseline_days AND 3 * mentions * baseline_days <= 2 * past AS fall
    FROM trend
    WHERE customer_voice AND day_covered AND past IS NOT NULL
),
rises AS (
    SELECT
        dt, brand, issue_type, title, mentions,
        cast(cast(floor(cast(tenths AS double) / 10) AS bigint) AS varchar(20)) || '.' || cast(tenths % 10 AS varchar(20)) AS usual,
        row_number() OVER (PARTITION BY dt, brand ORDER BY difference DESC NULLS LAST, issue_type NULLS LAST) AS place
    FROM moves
    WHERE rise
),
falls AS (
    SELECT
        dt, brand, issue_type, title, mentions,
        cast(cast(floor(cast(tenths AS double) / 10) AS bigint) AS varchar(20)) || '.' || cast(tenths % 10 AS varchar(20)) AS usual,
        row_number() OVER (PARTITION BY dt, brand ORDER BY difference NULLS LAST, issue_type NULLS LAST) AS place
    FROM moves
    WHERE fall
),
changed AS (
    SELECT
        d.dt, d.brand,
        r.issue_type AS rising_issue,
        f.issue_type AS falling_issue,
        CASE
            WHEN NOT d.day_covered THEN 'not covered'
            WHEN d.past IS NULL THEN 'too few covered days before to compare with: '
                || cast(coalesce(d.baseline_days, 0) AS varchar(20)) || ' of the 4 needed'
        END AS not_compared,
        coalesce(
            r.title || ' rose to ' || cast(r.mentions AS varchar(20)) || ' from a mean of ' || r.usual,
            'no clear rise'
        ) AS rise,
        coalesce(
            f.title || ' fell to ' || cast(f.mentions AS varchar(20)) || ' from a mean of ' || f.usual,
            'no clear fall'
        ) AS fall,
        p.post_id AS rising_post,
        CASE WHEN p.plain THEN ', see [' || p.post_id || ']' ELSE '' END AS rising_cited
    FROM days d
    LEFT JOIN rises r ON r.dt = d.dt AND r.brand = d.brand AND r.place = 1
    LEFT JOIN falls f ON f.dt = d.dt AND f.brand = d.brand AND f.place = 1
    LEFT JOIN shown p ON p.dt = d.dt AND p.brand = d.brand AND p.issue_type = r.issue_type AND p.place = 1
),
facts AS (
    SELECT
        d.dt, d.brand, d.day_covered, d.mentions, d.baseline_days, d.past,
        cast(d.past AS double) / d.baseline_days AS baseline_mean,
        cast(floor(cast(20 * d.past + d.baseline_days AS double) / (2 * d.baseline_days)) AS bigint) AS tenths,
        -- What is not covered is not known to be none.
        CASE WHEN d.day_covered THEN coalesce(m.high, 0) ELSE nullif(m.high, 0) END AS high,
        CASE WHEN d.day_covered THEN coalesce(m.safety, 0) ELSE nullif(m.safety, 0) END AS safety,
        CASE WHEN d.day_covered THEN coalesce(m.posts, 0) END AS posts,
        CASE WHEN d.day_covered THEN coalesce(m.positive, 0) END AS positive,
        CASE WHEN d.day_covered THEN coalesce(m.neutral, 0) END AS neutral,
        CASE WHEN d.day_covered THEN coalesce(m.negative, 0) END AS negative,
        CASE WHEN d.day_covered THEN coalesce(g.posts, 0) END AS feedback
    FROM days d
    LEFT JOIN moods m ON m.dt = d.dt AND m.brand = d.brand
    LEFT JOIN feedback_posts g ON g.dt = d.dt AND g.brand = d.brand
),
sounds AS (
    SELECT
        *,
        cast(cast(floor(cast(tenths AS double) / 10) AS bigint) AS varchar(20)) || '.' || cast(tenths % 10 AS varchar(20)) AS usual,
        CASE
            WHEN positive + neutral + negative = 0 THEN NULL
            WHEN negative > neutral AND negative > positive THEN 'negative'
            WHEN positive > neutral AND positive > negative THEN 'positive'
            WHEN neutral > positive AND neutral > negative THEN 'neutral'
            WHEN posts > 0 THEN 'mixed'
        END AS sounds,
        CASE
            WHEN positive + neutral + negative = 0 THEN NULL
            WHEN negative >= neutral AND negative >= positive THEN negative
            WHEN positive >= neutral THEN positive
            ELSE neutral
        END AS loudest
    FROM facts
)
SELECT
    f.dt,
    f.brand,
    f.day_covered,
    f.mentions,
    f.baseline_mean,
    f.baseline_days,
    CASE WHEN f.day_covered THEN f.mentions - f.baseline_mean END AS vs_baseline,
    f.posts AS customer_voice,
    f.positive,
    f.neutral,
    f.negative,
    f.sounds AS dominant_sentiment,
    f.loudest AS dominant_sentiment_count,
    CASE WHEN f.posts >= 20 THEN cast(f.loudest AS double) / f.posts END AS dominant_sentiment_share,
    i.issue_type AS dominant_issue,
    i.mentions AS dominant_issue_mentions,
    i.post_id AS dominant_issue_post,
    f.feedback AS general_feedback,
    CASE WHEN f.day_covered THEN t.theme_id END AS dominant_theme,
    CASE WHEN f.day_covered THEN t.mentions END AS theme_mentions,
    CASE WHEN f.day_covered THEN t.post_id END AS dominant_theme_post,
    f.high AS high_risk_count,
    f.safety AS patient_safety_count,
    r.posts AS high_risk_posts,
    CASE WHEN f.day_covered THEN coalesce(h.posts, 0) ELSE h.posts END AS high_risk_by_model,
    c.rising_issue,
    c.falling_issue,
    coalesce(c.not_compared, c.rise || '; ' || c.fall) AS what_changed,
    concat_ws(' ',
        CASE
            WHEN NOT f.day_covered AND f.mentions IS NULL
                THEN 'Not covered: the sources were not read completely, and nothing was found.'
            WHEN NOT f.day_covered
                THEN 'Not covered: the sources were not read completely. At least '
                    || cast(f.mentions AS varchar(20)) || CASE WHEN f.mentions = 1 THEN ' mention.' ELSE ' mentions.' END
            ELSE CASE f.mentions WHEN 0 THEN 'No mentions' WHEN 1 THEN '1 mention' ELSE cast(f.mentions AS varchar(20)) || ' mentions' END
                || CASE
                    WHEN f.past IS NULL THEN '.'
                    ELSE '; the mean of the ' || cast(f.baseline_days AS varchar(20)) || ' covered days before is ' || f.usual || '.'
                END
        END,
        CASE
            WHEN f.sounds = 'mixed'
                THEN 'Mixed sentiment: ' || cast(f.positive AS varchar(20)) || ' positive, ' || cast(f.neutral AS varchar(20))
                    || ' neutral and ' || cast(f.negative AS varchar(20)) || ' negative of '
                    || cast(f.posts AS varchar(20)) || ' from customers.'
            WHEN f.sounds IS NOT NULL
                THEN 'Most often ' || f.sounds || ': ' || cast(f.loudest AS varchar(20)) || ' of ' || cast(f.posts AS varchar(20))
                    || ' from customers'
                    -- Of a handful a share says nothing.
                    || CASE
                        WHEN f.posts >= 20 THEN ' ('
                            || cast(cast(floor(cast(200 * f.loudest + f.posts AS double) / (2 * f.posts)) AS bigint) AS varchar(20))
                            || '%).'
                        ELSE '.'
                    END
        END,
        -- What one post says is neither the issue nor the theme of a day.
        CASE
            WHEN i.mentions >= 2
                THEN 'Most frequent issue: ' || i.title || ' (' || cast(i.mentions AS varchar(20)) || ' mentions'
                    || CASE WHEN i.plain THEN ', such as [' || i.post_id || ']).' ELSE ').' END
        END,
        CASE
            WHEN f.day_covered AND t.mentions >= 2
                THEN 'Most frequent theme of general feedback: ' || t.title || ' ('
                    || cast(t.mentions AS varchar(20)) || ' of ' || cast(f.feedback AS varchar(20))
                    || CASE WHEN t.plain THEN ', such as [' || t.post_id || ']).' ELSE ').' END
        END,
        CASE
            WHEN f.high = 0 AND h.posts > 0 THEN 'None at high risk by the rules.'
            WHEN f.high = 0 AND f.mentions > 0 THEN 'None at high risk.'
            WHEN f.high > 0
                THEN CASE WHEN f.day_covered THEN '' ELSE 'At least ' END || cast(f.high AS varchar(20)) || ' at high risk'
                    || CASE
                        WHEN f.safety = f.high THEN ', of patient safety'
                        WHEN f.safety > 0 THEN ', ' || cast(f.safety AS varchar(20)) || ' of patient safety'
                        ELSE ''
                    END
                    || CASE WHEN r.cited <> '' THEN '; see ' || r.cited || '.' ELSE '.' END
        END,
        CASE
            WHEN h.posts > 0
                THEN 'A language model sees ' || cast(h.posts AS varchar(20)) || CASE WHEN f.high > 0 THEN ' more' ELSE '' END
                    || ' among general feedback' || CASE WHEN h.cited <> '' THEN '; see ' || h.cited || '.' ELSE '.' END
        END,
        CASE
            WHEN f.day_covered AND c.not_compared IS NOT NULL THEN 'Too few covered days before to compare issues with.'
            WHEN f.day_covered THEN upper(substr(c.rise, 1, 1)) || substr(c.rise, 2) || c.rising_cited || '; ' || c.fall || '.'
        END
    ) AS narrative
FROM sounds f
JOIN changed c ON c.dt = f.dt AND c.brand = f.brand
LEFT JOIN issue i ON i.dt = f.dt AND i.brand = f.brand
LEFT JOIN theme t ON t.dt = f.dt AND t.brand = f.brand
LEFT JOIN risky r ON r.dt = f.dt AND r.brand = f.brand
LEFT JOIN further h ON h.dt = f.dt AND h.brand = f.brand
