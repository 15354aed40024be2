#include "text/datasets/sampling.h"

#include <algorithm>
#include <set>

#include "support/recorded_run.h"
#include "support/test_files.h"
#include "text/text_fixture.h"

namespace foregate::text {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class SamplingTest : public TextTest {
 protected:
  /// A dataset of `count` texts "name i", every third row blank.
  DatasetSpec dataset(const std::string& name, int count) const {
    std::string lines;
    for (int i = 0; i < count; ++i) lines += name + " " + std::to_string(i) + "\n\nx\n";
    std::string usable;
    for (int i = 0; i < count; ++i) {
      usable += name + " " + std::to_string(i) + "\n" + (i % 3 == 2 ? "\n" : "");
    }
    return {name, write(name + ".txt", usable), ""};
  }

  Logger& log_ = silent_run().log;
};

std::vector<int64_t> counts(const SamplingPlan& plan) {
  std::vector<int64_t> sizes;
  for (const auto& dataset : plan.datasets) {
    sizes.push_back(static_cast<int64_t>(dataset.ordinals.size()));
  }
  return sizes;
}

TEST(BalancedShares, EqualWithRemainderFirstAndShortfallMoved) {
  EXPECT_THAT(balanced_shares({100, 100, 100}, 9), ElementsAre(3, 3, 3));
  EXPECT_THAT(balanced_shares({100, 100, 100}, 11), ElementsAre(4, 4, 3));
  EXPECT_THAT(balanced_shares({100, 2, 100}, 11), ElementsAre(5, 2, 4));
  EXPECT_THAT(balanced_shares({1, 2, 100}, 30), ElementsAre(1, 2, 27));
  EXPECT_THAT(balanced_shares({4, 4}, 9), ElementsAre(4, 4));
  EXPECT_THAT(balanced_shares({3, 4}, 7), ElementsAre(3, 4));
  EXPECT_THAT(balanced_shares({4, 3}, 7), ElementsAre(4, 3));
  EXPECT_THAT(balanced_shares({5, 5, 5}, 2), ElementsAre(1, 1, 0));
  EXPECT_THAT(balanced_shares({}, 5), ElementsAre());
}

TEST_F(SamplingTest, PlansAndStreams) {
  const auto plan = plan_sampling({dataset("a", 50), dataset("b", 50)}, 21, 1, false, log_);
  EXPECT_THAT(counts(plan), ElementsAre(11, 10));
  EXPECT_EQ(plan.num_texts(), 21);
  EXPECT_EQ(plan.datasets[0].available, 50);
  EXPECT_EQ(plan.datasets[0].skipped, 16);
  EXPECT_THAT(plan.datasets[0].skip_reasons, ElementsAre("16 rows: blank text"));
  PlannedTexts texts(plan);
  std::vector<int> turns;
  std::vector<int64_t> last(2, -1);
  for (PlannedText text; texts.next(text);) {
    const auto& planned = plan.datasets[static_cast<size_t>(text.dataset)];
    const int64_t ordinal =
        planned.ordinals[static_cast<size_t>(std::ranges::count(turns, text.dataset))];
    EXPECT_EQ(text.text, planned.spec.name + " " + std::to_string(ordinal));
    EXPECT_EQ(text.row, ordinal + ordinal / 3);
    EXPECT_GT(text.row, last[static_cast<size_t>(text.dataset)]);
    last[static_cast<size_t>(text.dataset)] = text.row;
    turns.push_back(text.dataset);
  }
  EXPECT_EQ(turns.size(), 21U);
  for (size_t i = 0; i < turns.size(); ++i) EXPECT_EQ(turns[i], static_cast<int>(i % 2));
}

TEST_F(SamplingTest, SameSeedSameTexts) {
  const std::vector<DatasetSpec> specs{dataset("a", 200), dataset("b", 200)};
  const auto first = plan_sampling(specs, 50, 7, false, log_);
  const auto again = plan_sampling(specs, 50, 7, false, log_);
  const auto other = plan_sampling(specs, 50, 8, false, log_);
  EXPECT_EQ(first.datasets[0].ordinals, again.datasets[0].ordinals);
  EXPECT_EQ(first.datasets[1].ordinals, again.datasets[1].ordinals);
  EXPECT_NE(first.datasets[0].ordinals, other.datasets[0].ordinals);
  EXPECT_NE(first.datasets[0].ordinals, first.datasets[1].ordinals);
  EXPECT_TRUE(std::ranges::is_sorted(first.datasets[0].ordinals));
}

TEST_F(SamplingTest, ShortDatasetsGiveAllOrFailIfStrict) {
  const std::vector<DatasetSpec> specs{dataset("a", 5), dataset("b", 100)};
  testing::RecordedRun run;
  EXPECT_THAT(counts(plan_sampling(specs, 40, 1, false, run.context().log)), ElementsAre(5, 35));
  EXPECT_THAT(run.messages(), ElementsAre(HasSubstr("warning: dataset 'a' has 5 usable texts")));
  EXPECT_THAT(counts(plan_sampling(specs, 500, 1, false, log_)), ElementsAre(5, 100));
  EXPECT_THAT(testing::error_of([&] { plan_sampling(specs, 40, 1, true, log_); }),
              ::testing::AllOf(HasSubstr("'a'"), HasSubstr("5"), HasSubstr("20")));
  EXPECT_THAT(counts(plan_sampling(specs, 10, 1, true, log_)), ElementsAre(5, 5));
}

TEST_F(SamplingTest, CountsProgress) {
  int64_t last = 0;
  plan_sampling({dataset("a", 3), dataset("b", 3)}, 2, 1, false, log_, [&](int64_t rows) {
    EXPECT_GT(rows, last);
    last = rows;
  });
  EXPECT_EQ(last, 7);
}

TEST_F(SamplingTest, RefusesWhatCannotBeMeant) {
  const DatasetSpec a = dataset("a", 3);
  EXPECT_THROW(plan_sampling({}, 5, 1, false, log_), UsageError);
  EXPECT_THROW(plan_sampling({a}, 0, 1, false, log_), UsageError);
  EXPECT_THROW(plan_sampling({a, a}, 5, 1, false, log_), UsageError);
  const DatasetSpec blank{"blank", write("blank.txt", "\n \n"), ""};
  EXPECT_THAT(testing::error_of([&] {
                plan_sampling({a, blank}, 5, 1, false, log_);
              }),
              ::testing::AllOf(HasSubstr("'blank'"), HasSubstr("2 rows: blank text")));
}

TEST_F(SamplingTest, NoticesDataThatChanged) {
  const DatasetSpec a = dataset("a", 30);
  const auto plan = plan_sampling({a}, 30, 1, false, log_);
  write("a.txt", "only one left\n");
  PlannedTexts texts(plan);
  PlannedText text;
  EXPECT_TRUE(texts.next(text));
  EXPECT_THROW(texts.next(text), DataError);
}

TEST_F(SamplingTest, NoticesAFileThatIsTouchedMeanwhile) {
  const DatasetSpec a = dataset("a", 30);
  const auto plan = plan_sampling({a}, 30, 1, false, log_);
  EXPECT_NO_THROW(require_unchanged(plan));
  write("a.txt", "other\n");
  EXPECT_THAT(testing::error_of([&] { require_unchanged(plan); }),
              ::testing::AllOf(HasSubstr("'a'"), HasSubstr("a.txt was changed")));
}

std::vector<std::string> planned_texts(const SamplingPlan& plan) {
  std::vector<std::string> all;
  PlannedTexts texts(plan);
  for (PlannedText text; texts.next(text);) all.push_back(text.text);
  return all;
}

TEST_F(SamplingTest, GrowsBehindTheSameTexts) {
  const std::vector<DatasetSpec> specs = {dataset("a", 40), dataset("b", 7), dataset("c", 30)};
  std::vector<int64_t> earlier;
  std::vector<std::string> before;
  for (const int64_t total : {1, 4, 5, 17, 60, 77}) {
    const auto plan = plan_sampling(specs, total, 3, false, log_, {}, earlier);
    const auto texts = planned_texts(plan);
    EXPECT_EQ(static_cast<int64_t>(texts.size()), total);
    EXPECT_TRUE(std::ranges::equal(
        before, std::vector(texts.begin(), texts.begin() + static_cast<long>(before.size()))));
    EXPECT_EQ(std::set<std::string>(texts.begin(), texts.end()).size(), texts.size());
    // As balanced as a sample of this size that is taken at once.
    EXPECT_EQ(counts(plan), counts(plan_sampling(specs, total, 3, false, log_)));
    EXPECT_EQ(plan.earlier, earlier);
    earlier.push_back(total);
    before = texts;
  }
  // All texts that there are: nothing more to grow by.
  EXPECT_EQ(plan_sampling(specs, 500, 3, false, log_, {}, {1, 4, 77}).earlier,
            std::vector<int64_t>({1, 4}));
}

TEST_F(SamplingTest, StagesAreTold) {
  const auto plan = plan_sampling({dataset("a", 9), dataset("b", 9)}, 6, 3, false, log_, {}, {2});
  PlannedTexts texts(plan);
  std::vector<std::pair<size_t, int>> order;
  for (PlannedText text; texts.next(text);) order.emplace_back(text.stage, text.dataset);
  EXPECT_EQ(order,
            (std::vector<std::pair<size_t, int>>{{0, 0}, {0, 1}, {1, 0}, {1, 1}, {1, 0}, {1, 1}}));
}

TEST_F(SamplingTest, DigestIsOfTheTextsNotOfTheFile) {
  const auto digest = [&](const DatasetSpec& spec) {
    return plan_sampling({spec}, 1, 1, false, log_).datasets[0].sha256;
  };
  const std::string a = digest({"a", write("a.txt", "one\ntwo\n"), ""});
  EXPECT_EQ(a.size(), 64U);
  EXPECT_EQ(digest({"a",
                    write("b.jsonl", R"({"text": "one"})"
                                     "\n"
                                     R"({"text": "two"})"
                                     "\n"),
                    ""}),
            a);
  EXPECT_EQ(digest({"a", write("c.txt", "one\ntwo"), ""}), a);
  EXPECT_NE(digest({"a", write("d.txt", "one\nTwo\n"), ""}), a);
  EXPECT_NE(digest({"a", write("e.txt", "two\none\n"), ""}), a);
  EXPECT_NE(digest({"a", write("f.txt", "one\n\ntwo\n"), ""}), a);  // another row
}

}  // namespace
}  // namespace foregate::text
