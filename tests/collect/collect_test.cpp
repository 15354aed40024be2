#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/files.h"
#include "collect/collector.h"
#include "support/recorded_run.h"
#include "support/temporary_folder.h"

namespace foregate::collect {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using testing::RecordedRun;

class CollectTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const fs::path demo = fs::path(FOREGATE_SOURCE_DIR) / "examples/demo";
    options_.model = demo / "model";
    options_.data = {text::DatasetSpec::parse("news=" + (demo / "texts/news-briefs.csv").string())};
    options_.output = folder_;
    options_.traces = 8;
    options_.max_length = 32;
    options_.shard_traces = 2;
    options_.batch_tokens = 64;
  }

  testing::TemporaryFolder temporary_;
  const fs::path folder_ = temporary_ / "traces";
  CollectOptions options_;
};

TEST_F(CollectTest, TellsItsRunContextAndNobodyElse) {
  RecordedRun run;
  ::testing::internal::CaptureStderr();
  const CollectSummary summary = collect(options_, run.context());
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
  EXPECT_TRUE(summary.manifest.complete);
  ASSERT_EQ(run.jobs().size(), 2U);
  EXPECT_EQ(run.jobs()[0].info.label, "count texts");
  const RecordedRun::Job job = run.jobs()[1];
  EXPECT_EQ(job.info.label, "collect");
  EXPECT_EQ(job.info.unit, "traces");
  EXPECT_EQ(job.info.total, 8);
  EXPECT_EQ(job.done, 8);
  EXPECT_TRUE(job.finished);
  EXPECT_THAT(run.messages(), Contains(HasSubstr("info: weights loaded in")));
}

TEST_F(CollectTest, StopsWhenAskedToAndGoesOn) {
  RecordedRun counted;
  collect(options_, counted.context());
  const int64_t rows = counted.jobs()[0].updates;  // of counting the texts, before the first batch
  fs::remove_all(folder_);

  RecordedRun stopped;
  stopped.stop_after(rows + 2);
  EXPECT_THROW(collect(options_, stopped.context()), InterruptedError);
  EXPECT_EQ(stopped.jobs()[1].updates, 2);
  EXPECT_FALSE(stopped.jobs()[1].finished);

  RecordedRun again;
  EXPECT_TRUE(collect(options_, again.context()).manifest.complete);
  EXPECT_EQ(again.jobs()[1].done, 8);
}

}  // namespace
}  // namespace foregate::collect
