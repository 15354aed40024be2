#include "tensor/files/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include <chrono>
#include <filesystem>

#include "support/temporary_folder.h"
#include "support/test_files.h"
#include "tensor/files/safetensors.h"

namespace foregate::tensor {
namespace {

using ::testing::ElementsAre;
using testing::error_of;
using ::testing::HasSubstr;
using testing::TemporaryFolder;
using testing::write_text;

class CheckpointTest : public ::testing::Test {
 protected:
  void SetUp() override {
    write_safetensors(folder_ / "s1.safetensors",
                      {{"a", torch::ones({2})}, {"extra", torch::ones({1})}});
    write_safetensors(folder_ / "s2.safetensors", {{"b", torch::zeros({3})}});
  }
  void write_index(const std::string& weight_map) {
    write_text(folder_ / "model.safetensors.index.json", "{\"weight_map\": " + weight_map + "}");
  }
  std::string error() {
    return error_of([this] { Checkpoint checkpoint(folder_.path()); });
  }

  TemporaryFolder folder_;
};

TEST_F(CheckpointTest, ReadsShards) {
  write_index(R"({"a": "s1.safetensors", "b": "s2.safetensors"})");
  const Checkpoint checkpoint(folder_.path());
  EXPECT_THAT(checkpoint.names(), ElementsAre("a", "b", "extra"));
  EXPECT_EQ(checkpoint.tensor("b").size(0), 3);
  EXPECT_EQ(checkpoint.find("a")->shape, std::vector<int64_t>{2});
  EXPECT_EQ(checkpoint.find("c"), nullptr);
  EXPECT_THAT(error_of([&] { checkpoint.tensor("c"); }), HasSubstr("\"c\""));
}

TEST_F(CheckpointTest, PrefersTheSingleFile) {
  write_index("3");
  write_safetensors(folder_ / "model.safetensors", {{"w", torch::ones({2})}});
  EXPECT_THAT(Checkpoint(folder_.path()).names(), ElementsAre("w"));
}

TEST_F(CheckpointTest, ListsItsFilesAndNoticesTwoCheckpoints) {
  EXPECT_TRUE(weight_files(folder_.path()).empty());
  write_index(R"({"b": "s2.safetensors", "a": "s1.safetensors", "c": "s3.safetensors"})");
  EXPECT_THAT(weight_files(folder_.path()),
              ElementsAre("s1.safetensors", "s2.safetensors", "s3.safetensors"));
  EXPECT_FALSE(holds_two_checkpoints(folder_.path()));
  write_safetensors(folder_ / "model.safetensors", {{"w", torch::ones({2})}});
  EXPECT_THAT(weight_files(folder_.path()), ElementsAre("model.safetensors"));
  EXPECT_TRUE(holds_two_checkpoints(folder_.path()));
  write_index(R"({"w": "model.safetensors"})");
  EXPECT_FALSE(holds_two_checkpoints(folder_.path()));
  write_index(R"({"w": "../model.safetensors"})");
  EXPECT_TRUE(holds_two_checkpoints(folder_.path()));
}

TEST_F(CheckpointTest, MissingWeights) {
  EXPECT_THAT(error(), HasSubstr("neither model.safetensors nor"));
  EXPECT_THAT(error_of([&] { Checkpoint checkpoint(folder_ / "none"); }),
              HasSubstr("no such folder"));
}

TEST_F(CheckpointTest, MissingShard) {
  write_index(R"({"a": "s1.safetensors", "b": "s3.safetensors"})");
  EXPECT_THAT(error(), HasSubstr("shard s3.safetensors is missing"));
  EXPECT_THROW(Checkpoint(folder_.path()), EnvironmentError);
}

TEST_F(CheckpointTest, TensorNotInItsShard) {
  write_index(R"({"a": "s2.safetensors"})");
  EXPECT_THAT(error(),
              HasSubstr("s2.safetensors: model.safetensors.index.json puts tensor \"a\" into it"));
}

TEST_F(CheckpointTest, IndexThatIsNone) {
  write_index("[]");
  EXPECT_THAT(error(), HasSubstr("weight_map"));
  write_text(folder_ / "model.safetensors.index.json", "{");
  EXPECT_THAT(error(), HasSubstr("not valid JSON"));
}

TEST_F(CheckpointTest, ShardNamesStayInTheFolder) {
  for (const char* shard : {"../s1.safetensors", "/etc/passwd", "..", "", "sub/s1.safetensors"}) {
    write_index(std::string(R"({"a": ")") + shard + "\"}");
    EXPECT_THAT(error(), HasSubstr("expected the name of a file")) << shard;
  }
  write_index(R"({"a": 3})");
  EXPECT_THAT(error(), HasSubstr("\"a\""));
}

// https://github.com/huggingface/huggingface_hub/issues/1388
TEST_F(CheckpointTest, LinksThatLeadNowhere) {
  write_index(R"({"a": "s1.safetensors", "b": "s3.safetensors"})");
  std::filesystem::create_symlink("../blobs/b", folder_ / "s3.safetensors");
  EXPECT_THAT(error(), HasSubstr("s3.safetensors is a link to ../blobs/b, which is not there"));
  std::filesystem::create_symlink("../blobs/c", folder_ / "model.safetensors");
  EXPECT_THAT(error(), HasSubstr("model.safetensors is a link to ../blobs/c"));
}

TEST_F(CheckpointTest, NoticesYoungerPickledWeights) {
  using std::chrono::hours;
  const auto now = std::filesystem::file_time_type::clock::now();
  EXPECT_EQ(newer_pickled_weights(folder_.path()), "");
  folder_.write("pytorch_model-00001-of-00002.bin", "x");
  EXPECT_EQ(newer_pickled_weights(folder_.path()), "");  // Nothing is read instead of it.
  write_index(R"({"a": "s1.safetensors", "b": "s2.safetensors"})");
  std::filesystem::last_write_time(folder_ / "s1.safetensors", now - hours(3));
  std::filesystem::last_write_time(folder_ / "s2.safetensors", now - hours(2));
  std::filesystem::last_write_time(folder_ / "pytorch_model-00001-of-00002.bin", now - hours(1));
  EXPECT_EQ(newer_pickled_weights(folder_.path()), "pytorch_model-00001-of-00002.bin");
  std::filesystem::last_write_time(folder_ / "s1.safetensors", now);
  EXPECT_EQ(newer_pickled_weights(folder_.path()), "");
  folder_.write("training_args.bin", "x");
  std::filesystem::last_write_time(folder_ / "training_args.bin", now + hours(1));
  EXPECT_EQ(newer_pickled_weights(folder_.path()), "");
}

}  // namespace
}  // namespace foregate::tensor
