#include "hub/environment.h"

#include <gtest/gtest.h>

#include <map>

#include "base/error.h"
#include "support/temporary_folder.h"

namespace foregate::hub {
namespace {

using Variables = std::map<std::string, std::string>;

Environment read(const Variables& variables) {
  return read_environment([&](const char* name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  });
}

TEST(Environment, Defaults) {
  const Environment environment = read({{"HOME", "/home/me"}});
  EXPECT_EQ(environment.cache, "/home/me/.cache/huggingface/hub");
  EXPECT_EQ(environment.endpoint, "https://huggingface.co");
  EXPECT_EQ(environment.token, "");
  EXPECT_FALSE(environment.offline);
  EXPECT_EQ(environment.timeout, std::chrono::seconds(10));
}

// The order in which huggingface_hub's constants.py asks.
TEST(Environment, WhereTheCacheIs) {
  Variables variables = {{"HOME", "/home/me"}, {"XDG_CACHE_HOME", "/xdg"}};
  EXPECT_EQ(read(variables).cache, "/xdg/huggingface/hub");
  variables["HF_HOME"] = "~/hf";
  EXPECT_EQ(read(variables).cache, "/home/me/hf/hub");
  variables["HUGGINGFACE_HUB_CACHE"] = "/old";
  EXPECT_EQ(read(variables).cache, "/old");
  variables["HF_HUB_CACHE"] = "$DISK/${SUB}/$MISSING";
  variables["DISK"] = "/mnt";
  variables["SUB"] = "cache";
  EXPECT_EQ(read(variables).cache, "/mnt/cache/$MISSING");
  variables["HF_HUB_CACHE"] = "";  // nothing is as not set
  EXPECT_EQ(read(variables).cache, "/old");
}

TEST(Environment, Token) {
  const testing::TemporaryFolder scratch;
  scratch.write("token", "hf_of_the_file\n");
  Variables variables = {{"HF_HOME", scratch.path()}};
  EXPECT_EQ(read(variables).token, "hf_of_the_file");
  variables["HF_TOKEN_PATH"] = scratch.write("other", " hf_elsewhere \r\n");
  EXPECT_EQ(read(variables).token, "hf_elsewhere");
  variables["HUGGING_FACE_HUB_TOKEN"] = "hf_old";
  EXPECT_EQ(read(variables).token, "hf_old");
  variables["HF_TOKEN"] = "hf_new\n";
  EXPECT_EQ(read(variables).token, "hf_new");
  variables["HF_TOKEN"] = "hf_a b";
  EXPECT_THROW(read(variables), UsageError);
}

TEST(Environment, Offline) {
  for (const char* value : {"1", "on", "Yes", "TRUE"}) {
    EXPECT_TRUE(read({{"HF_HUB_OFFLINE", value}}).offline) << value;
  }
  for (const char* value : {"", "0", "no", "2"}) {
    EXPECT_FALSE(read({{"HF_HUB_OFFLINE", value}}).offline) << value;
  }
  EXPECT_TRUE(read({{"TRANSFORMERS_OFFLINE", "1"}}).offline);
}

TEST(Environment, Endpoint) {
  EXPECT_EQ(read({{"HF_ENDPOINT", "https://mirror.org/hf//"}}).endpoint, "https://mirror.org/hf");
  EXPECT_THROW(read({{"HF_ENDPOINT", "mirror.org"}}), UsageError);
}

TEST(Environment, Timeout) {
  EXPECT_EQ(read({{"HF_HUB_DOWNLOAD_TIMEOUT", "3"}}).timeout, std::chrono::seconds(3));
  for (const char* value : {"0", "-1", "soon", "1.5"}) {
    EXPECT_THROW(read({{"HF_HUB_DOWNLOAD_TIMEOUT", value}}), UsageError) << value;
  }
}

}  // namespace
}  // namespace foregate::hub
