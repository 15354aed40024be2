#include "hub/resolve.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "support/temporary_folder.h"
#include "support/test_files.h"

namespace foregate::hub {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

const std::string kCommit(40, 'a');

/// A cache with one model and one dataset; names are relative to the scratch folder.
class ResolveTest : public ::testing::Test {
 protected:
  ResolveTest() : before_(fs::current_path()) {
    environment_.cache = scratch_.path() / "hub";
    fs::create_directories(scratch_.path() / "here");
    fs::current_path(scratch_.path() / "here");
    scratch_.write("hub/models--Qwen--Tiny/refs/main", kCommit);
    write("config.json", "{}");
    scratch_.write("hub/datasets--stanfordnlp--imdb/refs/main", kCommit);
    scratch_.write("hub/datasets--stanfordnlp--imdb/snapshots/" + kCommit + "/test.csv", "text\n");
    scratch_.write("hub/datasets--squad/refs/main", kCommit);
    scratch_.write("hub/datasets--squad/snapshots/" + kCommit + "/dev.json", "{}");
  }
  ~ResolveTest() override { fs::current_path(before_); }

  void write(const std::string& name, const std::string& text) {
    scratch_.write("hub/models--Qwen--Tiny/snapshots/" + kCommit + "/" + name, text);
  }
  fs::path snapshot(const std::string& folder) const {
    return environment_.cache / folder / "snapshots" / kCommit;
  }
  std::string refusal(const std::string& name, const ModelNeeds& needs) {
    try {
      find_model(name, needs, environment_);
    } catch (const EnvironmentError& error) {
      return error.what();
    }
    return "";
  }

  testing::TemporaryFolder scratch_;
  fs::path before_;
  Environment environment_;
};

TEST_F(ResolveTest, AModelInTheCache) {
  EXPECT_EQ(find_model("Qwen/Tiny", {.files = {"config.json"}}, environment_),
            snapshot("models--Qwen--Tiny"));
  EXPECT_EQ(model_name(snapshot("models--Qwen--Tiny")), "Qwen/Tiny");
}

TEST_F(ResolveTest, AGgufFileOfARepository) {
  write("q4/tiny-Q4_K_M.gguf", "GGUF");
  const fs::path file = snapshot("models--Qwen--Tiny") / "q4/tiny-Q4_K_M.gguf";
  EXPECT_EQ(find_model("Qwen/Tiny/q4/tiny-Q4_K_M.gguf", {.weights = true}, environment_), file);
  EXPECT_EQ(model_name(file), "tiny-Q4_K_M.gguf");
  EXPECT_THAT(refusal("Qwen/Tiny/tiny-Q8_0.gguf", {}),
              AllOf(HasSubstr("no such file: Qwen/Tiny/tiny-Q8_0.gguf"),
                    HasSubstr("run: foregate pull --include 'tiny-Q8_0.gguf' Qwen/Tiny")));
  EXPECT_EQ(find_model("/models/tiny.gguf", {}, environment_), "/models/tiny.gguf");
  EXPECT_EQ(find_model("models/tiny.gguf", {}, environment_), "models/tiny.gguf");
}

TEST_F(ResolveTest, ADirectoryOfThatNameWins) {
  fs::create_directories("Qwen/Tiny");
  EXPECT_EQ(find_model("Qwen/Tiny", {.files = {"config.json"}}, environment_), "Qwen/Tiny");
  EXPECT_EQ(model_name("Qwen/Tiny"), "Tiny");
}

TEST_F(ResolveTest, PathsAreLeftAlone) {
  EXPECT_EQ(find_model("/no/such/model", {.files = {"config.json"}}, environment_),
            "/no/such/model");
  EXPECT_EQ(find_model("config.jsn", {.files = {"config.json"}}, environment_), "config.jsn");
  EXPECT_EQ(find_model("a/b/c", {.weights = true}, environment_), "a/b/c");
}

TEST_F(ResolveTest, WhatIsMissingIsNamed) {
  EXPECT_THAT(refusal("Qwen/Other", {}), HasSubstr("run: foregate pull Qwen/Other"));
  EXPECT_THAT(refusal("Qwen/Tiny", {.files = {"config.json", "tokenizer.json"}}),
              HasSubstr("has no tokenizer.json; run: foregate pull Qwen/Tiny"));
  EXPECT_THAT(refusal("Qwen/Tiny", {.weights = true}), HasSubstr("has no model.safetensors;"));
  write("model.safetensors.index.json",
        R"({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}})");
  write("model-1.safetensors", "");
  EXPECT_THAT(refusal("Qwen/Tiny", {.weights = true}), HasSubstr("has no model-2.safetensors;"));
  write("model-2.safetensors", "");
  EXPECT_EQ(refusal("Qwen/Tiny", {.weights = true}), "");
}

TEST_F(ResolveTest, ALinkToABlobThatIsNotThereIsMissing) {
  fs::create_symlink("../../blobs/none", snapshot("models--Qwen--Tiny") / "tokenizer.json");
  EXPECT_THAT(refusal("Qwen/Tiny", {.files = {"tokenizer.json"}}), HasSubstr("tokenizer.json"));
}

TEST_F(ResolveTest, Datasets) {
  const fs::path imdb = snapshot("datasets--stanfordnlp--imdb");
  EXPECT_EQ(find_dataset("stanfordnlp/imdb", environment_), imdb);
  EXPECT_EQ(find_dataset("stanfordnlp/imdb/test*.csv", environment_), imdb / "test*.csv");
  EXPECT_EQ(find_dataset("squad", environment_), snapshot("datasets--squad"));
  EXPECT_EQ(find_dataset("squad/dev.json", environment_), snapshot("datasets--squad") / "dev.json");
  EXPECT_EQ(find_dataset("/data/none.csv", environment_), "/data/none.csv");
  EXPECT_EQ(find_dataset("none.csv", environment_), "none.csv");
  EXPECT_THROW(find_dataset("stanfordnlp/other", environment_), EnvironmentError);
}

TEST_F(ResolveTest, AFolderOfThatNameWinsOverADataset) {
  fs::create_directories("squad");
  EXPECT_EQ(find_dataset("squad", environment_), "squad");
  EXPECT_EQ(find_dataset("squad/*.json", environment_), "squad/*.json");
}

// https://github.com/QwenLM/Qwen3-TTS/pull/172
TEST_F(ResolveTest, ASlashBehindTheName) {
  EXPECT_EQ(find_model("Qwen/Tiny/", {.files = {"config.json"}}, environment_),
            snapshot("models--Qwen--Tiny"));
  EXPECT_THAT(refusal("Qwen/Other//", {}), HasSubstr("run: foregate pull Qwen/Other"));
  EXPECT_EQ(find_model("/", {}, environment_), "/");
}

// https://github.com/huggingface/peft/issues/298
TEST_F(ResolveTest, AnAdapterIsNoModel) {
  const std::string adapter = R"({"base_model_name_or_path": "Qwen/Tiny", "peft_type": "LORA"})";
  scratch_.write("here/lora/adapter_config.json", adapter);
  const auto refused = [&](const std::string& name, const ModelNeeds& needs) {
    return testing::error_of([&] { find_model(name, needs, environment_); });
  };
  const ModelNeeds config{.files = {"config.json"}};
  EXPECT_THAT(refused("lora", config),
              HasSubstr("lora is an adapter (adapter_config.json) of Qwen/Tiny, not a model"));
  // Its tokenizer is one like any other, and a model may have been saved beside it.
  EXPECT_EQ(refused("lora", {.files = {"tokenizer.json"}}), "no error");
  scratch_.write("here/lora/config.json", "{}");
  EXPECT_EQ(refused("lora", config), "no error");
  fs::remove(snapshot("models--Qwen--Tiny") / "config.json");
  write("adapter_config.json", "{}");
  EXPECT_THAT(refused("Qwen/Tiny", config), HasSubstr("is an adapter (adapter_config.json), not"));
}

}  // namespace
}  // namespace foregate::hub
