#include "hub/selection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace foregate::hub {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Paths chosen(const Paths& files, const Selection& selection) {
  return select(files, selection, usual_model_files, "model a/b");
}

std::string refusal(const Paths& files, const Selection& selection) {
  try {
    chosen(files, selection);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

// What huggingface_hub's filter_repo_objects, Python's fnmatch, says too.
TEST(Matches, AsHuggingfaceHub) {
  EXPECT_TRUE(matches("*.json", "config.json"));
  EXPECT_TRUE(matches("*.json", "sub/config.json"));
  EXPECT_TRUE(matches("plain_text/", "plain_text/a/b.parquet"));
  EXPECT_TRUE(matches("model-0000[12]-of-*", "model-00002-of-00008.safetensors"));
  EXPECT_TRUE(matches("[!m]*", "config.json"));
  EXPECT_TRUE(matches("*", ".gitattributes"));
  EXPECT_FALSE(matches("*.JSON", "config.json"));
  EXPECT_FALSE(matches("config", "config.json"));
  EXPECT_FALSE(matches("?", ""));
  EXPECT_FALSE(matches("", "a"));
}

TEST(Select, IncludeReplacesTheUsualFiles) {
  const Paths files = {"README.md", "config.json", "model.safetensors", "tokenizer.json"};
  EXPECT_THAT(chosen(files, {.include = {"*.md", "config*"}}),
              ElementsAre("README.md", "config.json"));
  EXPECT_THAT(chosen(files, {.include = {"*"}, .exclude = {"*.safetensors", "README*"}}),
              ElementsAre("config.json", "tokenizer.json"));
  EXPECT_THAT(chosen(files, {.exclude = {"tokenizer*"}}),
              ElementsAre("config.json", "model.safetensors"));
  EXPECT_EQ(chosen(files, {.all_files = true}), files);
}

TEST(Select, APatternThatMatchesNothingIsAnError) {
  EXPECT_THAT(refusal({"config.json"}, {.include = {"*.json", "*.jsn"}}),
              HasSubstr("--include '*.jsn' matches no file of model a/b; it has config.json"));
  EXPECT_THAT(refusal({"config.json"}, {.include = {"*"}, .exclude = {"*"}}),
              HasSubstr("nothing to pull of model a/b"));
  EXPECT_THAT(refusal({}, {.all_files = true}), HasSubstr("no files"));
}

TEST(UsualModelFiles, Shards) {
  const Paths files = {".gitattributes",
                       "LICENSE",
                       "README.md",
                       "config.json",
                       "consolidated.00.pth",
                       "consolidated.safetensors",
                       "generation_config.json",
                       "merges.txt",
                       "model-00001-of-00002.safetensors",
                       "model-00002-of-00002.safetensors",
                       "model.safetensors.index.json",
                       "original/params.json",
                       "original/weights.safetensors",
                       "pytorch_model.bin",
                       "tokenizer.json",
                       "tokenizer_config.json",
                       "vocab.json"};
  EXPECT_THAT(usual_model_files(files),
              ElementsAre("config.json", "generation_config.json", "merges.txt",
                          "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
                          "model.safetensors.index.json", "tokenizer.json", "tokenizer_config.json",
                          "vocab.json"));
}

// Checkpoint reads model.safetensors alone where there is one.
TEST(UsualModelFiles, OneFile) {
  EXPECT_THAT(usual_model_files({"config.json", "model-00001-of-00001.safetensors",
                                 "model.safetensors", "model.safetensors.index.json"}),
              ElementsAre("config.json", "model.safetensors"));
}

TEST(UsualModelFiles, WithoutSafetensors) {
  EXPECT_THROW(usual_model_files({"config.json", "pytorch_model.bin"}), DataError);
  EXPECT_THROW(usual_model_files({}), DataError);
}

}  // namespace
}  // namespace foregate::hub
