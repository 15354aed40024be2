#include "models/weights/weight_digests.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include "support/temporary_folder.h"
#include "support/test_files.h"
#include "tensor/files/safetensors.h"

namespace foregate::models {
namespace {

using ::testing::HasSubstr;

class WeightDigestsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    config_.num_experts = 60;
    config_.hidden_size = 256;
    tensors_ = {{"router", torch::randn({60, 256})},
                {"norm", torch::randn({256})},
                {"expert", torch::randn({1024, 1024})},  // 4 MB: a sample
                {"wide", torch::randn({4096, 1024})},    // 16 MB: two samples
                {"small", torch::randn({8, 8})}};
  }
  std::vector<FileDigest> digests() {
    tensor::write_safetensors(folder_ / "model.safetensors", tensors_);
    return weight_digests(folder_.path(), config_);
  }
  torch::Tensor& tensor(const std::string& name) {
    return std::ranges::find(tensors_, name, [](const auto& each) { return each.first; })->second;
  }

  testing::TemporaryFolder folder_;
  ModelConfig config_;
  std::vector<std::pair<std::string, torch::Tensor>> tensors_;
};

TEST_F(WeightDigestsTest, AreTheSameForTheSame) {
  const auto before = digests();
  ASSERT_EQ(before.size(), 1U);
  EXPECT_EQ(before[0].file, "model.safetensors");
  EXPECT_EQ(before[0].bytes, static_cast<int64_t>(fs::file_size(folder_ / "model.safetensors")));
  EXPECT_EQ(digests(), before);
}

TEST_F(WeightDigestsTest, NoticeOneNumberOfARouterOrNorm) {
  const auto before = digests();
  tensor("router")[59][255] += 1;
  const auto router = digests();
  EXPECT_NE(router, before);
  tensor("norm")[3] += 1;
  const auto norm = digests();
  EXPECT_NE(norm, router);
  tensor("small")[7][7] += 1;
  EXPECT_NE(digests(), norm);
}

TEST_F(WeightDigestsTest, NoticeMatricesOfTheSameSize) {
  const auto before = digests();
  tensor("expert") *= 1.01;
  EXPECT_EQ(changed_file(before, digests()), "model.safetensors has other content");
  const auto scaled = digests();
  tensor("wide").narrow(0, 2048, 2048).mul_(2);  // the second half only
  EXPECT_NE(digests(), scaled);
}

TEST_F(WeightDigestsTest, NoticePermutedRowsSwappedTensorsAndOtherDtypes) {
  const auto before = digests();
  tensor("router") = tensor("router").flip(0);
  const auto permuted = digests();
  EXPECT_NE(permuted, before);
  tensors_.emplace_back("expert2", torch::randn({1024, 1024}));
  const auto two = digests();
  std::swap(tensor("expert"), tensor("expert2"));
  EXPECT_NE(digests(), two);
  tensor("small") = tensor("small").to(torch::kInt32).to(torch::kFloat16);
  EXPECT_NE(digests(), two);
}

TEST_F(WeightDigestsTest, ListShardsOfAnIndex) {
  tensor::write_safetensors(folder_ / "b.safetensors", {{"x", torch::ones({3})}});
  tensor::write_safetensors(folder_ / "a.safetensors", {{"y", torch::ones({3})}});
  testing::write_text(folder_ / "model.safetensors.index.json",
                      R"({"weight_map": {"x": "b.safetensors", "y": "a.safetensors"}})");
  const auto found = weight_digests(folder_.path(), config_);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].file, "a.safetensors");
  EXPECT_EQ(found[1].file, "b.safetensors");
  fs::remove(folder_ / "a.safetensors");
  EXPECT_THAT(testing::error_of([&] { weight_digests(folder_.path(), config_); }),
              HasSubstr("a.safetensors"));
}

TEST_F(WeightDigestsTest, AreNoneOfNothing) {
  EXPECT_TRUE(weight_digests(folder_.path(), config_).empty());
}

}  // namespace
}  // namespace foregate::models
