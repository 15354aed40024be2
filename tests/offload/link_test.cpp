#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "offload/time/hardware.h"
#include "offload/time/prefetch_plan.h"
#include "offload/time/time_histogram.h"
#include "offload/time/transfer_link.h"
#include "support/test_files.h"

namespace foregate::offload {
namespace {

/// 1 MB in 100 us, and 10 us to issue a copy.
const LinkSpeed kSpeed{10e-6, {{1e6, 1e10}}};

TransferLink link_of(int pieces) {
  return TransferLink(kSpeed, 1e6, pieces, 10, {[](size_t) { return true; }, {}});
}

TEST(LinkSpeed, GoesBetweenItsPoints) {
  const LinkSpeed speed{0, {{1e6, 1e9}, {1e8, 3e9}}};
  EXPECT_DOUBLE_EQ(speed.seconds(0), 0);
  EXPECT_DOUBLE_EQ(speed.seconds(5e5), 5e-4);
  EXPECT_DOUBLE_EQ(speed.seconds(1e7), 1e7 / 2e9);  // half way by logarithm
  EXPECT_DOUBLE_EQ(speed.seconds(3e8), 0.1);
}

TEST(TransferLink, MovesOneAfterAnother) {
  TransferLink link = link_of(1);
  link.demand(0, 0, 0);
  link.demand(1, 0, 0);
  EXPECT_NEAR(link.arrival(1), 220e-6, 1e-12);
  EXPECT_NEAR(link.arrival(0), 110e-6, 1e-12);
  link.demand(2, 1e-3, 0);
  EXPECT_NEAR(link.arrival(2), 1.11e-3, 1e-12);
  link.demand(3, 2e-3, 5e-3);  // from storage
  EXPECT_NEAR(link.arrival(3), 5.11e-3, 1e-12);
  EXPECT_NEAR(link.demand_seconds(), 440e-6, 1e-12);
}

TEST(TransferLink, DemandOvertakesBetweenPieces) {
  for (const int pieces : {1, 4}) {
    TransferLink link = link_of(pieces);
    link.prefetch(0, 1, 0, 0);
    link.advance(30e-6);  // the first piece has begun: 35 of 110 us, or all
    link.demand(1, 30e-6, 0);
    const double first = pieces == 1 ? 110e-6 : 35e-6;
    EXPECT_NEAR(link.arrival(1), first + 110e-6, 1e-12);
    // What is left of the prefetch is issued again.
    EXPECT_NEAR(link.arrival(0), pieces == 1 ? 110e-6 : first + 110e-6 + 10e-6 + 75e-6, 1e-12);
  }
}

TEST(TransferLink, PrefetchesByNeed) {
  TransferLink link = link_of(4);
  link.prefetch(5, 2, 0, 0);
  link.prefetch(6, 1, 0, 0);
  EXPECT_NEAR(link.arrival(5), 220e-6, 1e-12);
  EXPECT_NEAR(link.arrival(6), 110e-6, 1e-12);
}

TEST(TransferLink, PromotedIsDemand) {
  TransferLink link = link_of(4);
  link.prefetch(0, 1, 0, 0);
  link.prefetch(1, 2, 0, 0);
  link.promote(1);
  EXPECT_NEAR(link.arrival(1), 110e-6, 1e-12);
  EXPECT_EQ(link.state(0), TransferLink::State::kQueued);
}

TEST(TransferLink, DropsWhatIsStale) {
  TransferLink link = link_of(4);
  link.prefetch(0, 1, 0, 0);
  EXPECT_EQ(link.drop(0), 0);
  link.prefetch(0, 1, 0, 0);
  link.advance(40e-6);  // two pieces have begun
  EXPECT_EQ(link.drop(0), 5e5);
  EXPECT_EQ(link.state(0), TransferLink::State::kIdle);
  EXPECT_NEAR(link.free_at(), 60e-6, 1e-12);
}

TEST(TransferLink, BeginsNothingWithoutASlot) {
  TransferLink link(kSpeed, 1e6, 4, 10, {[](size_t expert) { return expert != 3; }, {}});
  link.prefetch(3, 1, 0, 0);
  link.prefetch(4, 2, 0, 0);
  EXPECT_NEAR(link.arrival(4), 110e-6, 1e-12);
  EXPECT_EQ(link.state(3), TransferLink::State::kIdle);
}

TEST(TimeHistogram, KeepsPercentilesToOnePercent) {
  TimeHistogram histogram;
  EXPECT_TRUE(std::isnan(histogram.percentile(0.5)));
  for (int i = 1; i <= 1000; ++i) histogram.add(i * 1e-5);
  EXPECT_NEAR(histogram.mean(), 500.5e-5, 1e-12);
  EXPECT_NEAR(histogram.percentile(0.5), 500e-5, 0.01 * 500e-5);
  EXPECT_NEAR(histogram.percentile(0.99), 990e-5, 0.01 * 990e-5);
  EXPECT_NEAR(histogram.percentile(1), 1000e-5, 0.01 * 1000e-5);
}

TEST(Hardware, ProfilesAreReadBack) {
  ASSERT_GT(hardware_profiles().size(), 5u);
  for (const HardwareProfile& profile : hardware_profiles()) {
    const Json json = hardware_to_json(profile);
    const HardwareProfile read = hardware_from_json(JsonReader(json, "profile"));
    EXPECT_EQ(hardware_to_json(read), json);
    EXPECT_FALSE(profile.source.empty());
    EXPECT_EQ(&find_hardware(profile.name), &profile);
  }
}

TEST(Hardware, SaysWhatIsWrong) {
  EXPECT_NE(testing::error_of([] { find_hardware("voodoo2"); }).find("rtx3090"), std::string::npos);
  Json json = hardware_to_json(find_hardware("h200"));
  json["host_to_device"]["points"] = Json::array();
  EXPECT_NE(
      testing::error_of([&] { hardware_from_json(JsonReader(json, "p.json")); }).find("points"),
      std::string::npos);
}

TEST(PrefetchPlan, ReleasesWhatIsNearAndWorthIt) {
  PrefetchPlan plan({PrefetchRule::Kind::kThreshold, 0.5, 2}, 5);
  plan.add({{0, 1, 0.9f}, {1, 2, 0.4f}, {1, 3, 0.6f}, {1, 4, 0.8f}, {3, 5, 1.0f}});
  const auto names = [&](int layer) {
    std::vector<int> experts;
    for (const Guess& guess : plan.release(layer)) experts.push_back(guess.expert);
    return experts;
  };
  EXPECT_EQ(names(-1), (std::vector<int>{1, 4, 3}));
  EXPECT_EQ(names(0), std::vector<int>{});
  plan.add({{3, 5, 0.1f}});  // knows better by now
  EXPECT_EQ(names(1), std::vector<int>{});
}

TEST(PrefetchPlan, ValueAsksForMoreWhereTheLinkIsBusy) {
  PrefetchPlan idle({PrefetchRule::Kind::kValue}, 1);
  PrefetchPlan busy({PrefetchRule::Kind::kValue}, 1);
  for (int i = 0; i < 1000; ++i) {
    idle.observe_step(1, 0);
    busy.observe_step(1, 1);
    idle.observe_victim(false);
    busy.observe_victim(false);
  }
  EXPECT_TRUE(idle.worth(0.01));
  EXPECT_FALSE(busy.worth(0.49));
  EXPECT_TRUE(busy.worth(0.51));
  for (int i = 0; i < 1000; ++i) idle.observe_victim(true);
  EXPECT_FALSE(idle.worth(0.9));  // it would evict what is needed for certain
}

}  // namespace
}  // namespace foregate::offload
