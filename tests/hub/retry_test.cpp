#include "hub/retry.h"

#include <gtest/gtest.h>

namespace foregate::hub {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// Asks for a stop when it is asked for the third time.
class StopsAtThird : public StopToken {
 public:
  bool stop_requested() const override { return ++asked_ > 2; }

 private:
  mutable int asked_ = 0;
};

TEST(IsTemporary, OverloadAndRestarts) {
  for (const int status : {408, 429, 500, 502, 503, 504}) EXPECT_TRUE(is_temporary(status));
  for (const int status : {200, 301, 400, 401, 403, 404, 410, 416, 501}) {
    EXPECT_FALSE(is_temporary(status)) << status;
  }
}

TEST(RequestedWait, RetryAfterInSeconds) {
  EXPECT_EQ(requested_wait({{"retry-after", "17"}}, 0), seconds(17));
  EXPECT_EQ(requested_wait({{"retry-after", "0"}}, 0), seconds(0));
}

TEST(RequestedWait, RetryAfterAsADate) {
  // 784111777 is the date of RFC 9110's example.
  const Headers headers = {{"retry-after", "Sun, 06 Nov 1994 08:49:37 GMT"}};
  EXPECT_EQ(requested_wait(headers, 784111777 - 30), seconds(30));
  EXPECT_EQ(requested_wait(headers, 784111777 + 30), seconds(0));
}

TEST(RequestedWait, ResetOfAUsedUpRateLimit) {
  EXPECT_EQ(requested_wait({{"ratelimit", "\"api\";r=0;t=55"}}, 0), seconds(55));
  EXPECT_EQ(requested_wait({{"ratelimit", "\"api\";r=12;t=55"}}, 0), std::nullopt);
}

TEST(RequestedWait, NothingWithoutOrWithNonsense) {
  EXPECT_EQ(requested_wait({}, 0), std::nullopt);
  EXPECT_EQ(requested_wait({{"retry-after", "soon"}}, 0), std::nullopt);
  EXPECT_EQ(requested_wait({{"retry-after", "-5"}}, 0), std::nullopt);
  EXPECT_EQ(requested_wait({{"ratelimit", "r"}}, 0), std::nullopt);
}

TEST(Backoff, DoublesAndGivesUp) {
  Backoff backoff;
  EXPECT_EQ(backoff.next({}), milliseconds(1000));
  EXPECT_EQ(backoff.next({}), milliseconds(2000));
  EXPECT_EQ(backoff.next({}), milliseconds(4000));
  EXPECT_EQ(backoff.next({}), milliseconds(8000));
  EXPECT_EQ(backoff.next({}), std::nullopt);
  EXPECT_EQ(backoff.failures(), Backoff::kMaxTries);
}

TEST(Backoff, ProgressStartsOver) {
  Backoff backoff;
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(backoff.next({}), milliseconds(1000));
    backoff.succeeded();
  }
}

TEST(Backoff, TheServersWishCounts) {
  Backoff backoff;
  EXPECT_EQ(backoff.next(seconds(30)), milliseconds(30'000));
  EXPECT_EQ(backoff.next(seconds(0)), milliseconds(0));
  EXPECT_EQ(backoff.next(Backoff::kLongestWait + seconds(1)), std::nullopt);
}

TEST(WaitFor, EndsWhenStopped) {
  const auto begin = std::chrono::steady_clock::now();
  wait_for(std::chrono::minutes(1), StopsAtThird());
  EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds(10));
}

}  // namespace
}  // namespace foregate::hub
