-- The ten posts of each day, brand and issue that most people met.
-- Rank: (1 + max(score, 0)) * (1 + num_comments), as an integer; ties by post id.
WITH ranked AS (
    SELECT
        dt, brand, issue_type, post_id, platform, channel, post_type, title, url,
        created_at, score, num_comments, score_captured_at,
        rx_engagement(score, num_comments) AS reach,
        row_number() OVER (
            PARTITION BY dt, brand, issue_type
            ORDER BY rx_engagement(score, num_comments) DESC, post_id
        ) AS place
    FROM silver_posts
)
SELECT
    dt,
    brand,
    issue_type,
    cast(place AS bigint) AS rank,
    post_id,
    platform,
    channel,
    post_type,
    title,
    url,
    created_at,
    score,
    num_comments,
    -- For people: the natural logarithm, rounded. The order above is by the integer.
    rx_ln(reach) AS engagement,
    score_captured_at,
    -- Votes still come in for a day and a half.
    score_captured_at < created_at + interval '36' hour AS score_moving
FROM ranked
WHERE place <= 10
