-- Additive metrics of one day by brand, place and issue. A row exists where mentions >= 1.
-- unique_titles is exact within its row and is not additive.
SELECT
    dt,
    brand,
    platform,
    coalesce(channel, '') AS channel,
    issue_type,
    count(*) AS mentions,
    count(*) FILTER (WHERE post_type = 'post') AS posts,
    count(*) FILTER (WHERE post_type = 'comment') AS comments,
    coalesce(sum(score), 0) AS score_sum,
    coalesce(sum(num_comments), 0) AS num_comments_sum,
    count(DISTINCT rx_norm(title)) AS unique_titles
FROM silver_posts
GROUP BY dt, brand, platform, coalesce(channel, ''), issue_type
