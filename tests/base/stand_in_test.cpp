#include "base/stand_in.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/containers/safetensors_header.h"
#include "base/error.h"
#include "base/files.h"
#include "base/hash.h"
#include "base/json.h"
#include "support/temporary_folder.h"
#include "support/test_files.h"

namespace foregate {
namespace {

using ::testing::HasSubstr;

const std::string kPointer =
    "version https://git-lfs.github.com/spec/v1\noid sha256:" + std::string(64, 'a') +
    "\nsize 5453296\n";

TEST(StandIn, PointersAreRefusedWhereverAFileIsRead) {
  const testing::TemporaryFolder folder;
  const fs::path path = folder.write("model.safetensors", kPointer);
  const std::string message = path.string() +
                              " is a Git LFS pointer (132 bytes), not the file of 5,453,296 bytes; "
                              "fetch it: git lfs pull, or foregate pull";
  EXPECT_EQ(testing::error_of([&] { read_file(path); }), message);
  EXPECT_EQ(testing::error_of([&] { read_json(path); }), message);
  EXPECT_EQ(testing::error_of([&] { const MappedFile file(path); }), message);
  // Who only compares bytes takes them as they are.
  EXPECT_EQ(sha256_of_file(path), sha256_of_text(kPointer));
}

TEST(StandIn, OtherFilesAreNoPointers) {
  for (const std::string& content :
       {std::string(), std::string("version https://git-lfs.github.com/spec/v1\n"),
        kPointer + std::string(1024, 'x'), "x" + kPointer, std::string("/annex")}) {
    EXPECT_NO_THROW(refuse_pointer(content, "a")) << content;
  }
}

TEST(StandIn, WebPages) {
  for (const char* page :
       {"<!DOCTYPE html>\n<html>", " \r\n<!doctype HTML><html>", "<html lang=en>"}) {
    EXPECT_THAT(testing::error_of([&] { parse_safetensors_header(page, "a.safetensors"); }),
                HasSubstr("a.safetensors is a web page"));
  }
  for (const char* page : {"<p>html", "", " ", "\xef\xbb\xbf"}) {
    EXPECT_NO_THROW(refuse_web_page(page, "a"));
  }
}

// https://github.com/minimaxir/gpt-2-simple/issues/263
TEST(StandIn, ErrorsOfObjectStores) {
  const testing::TemporaryFolder folder;
  const fs::path path = folder.write("config.json",
                                     "\xef\xbb\xbf<?xml version=\"1.0\" encoding=\"utf-8\"?><Error>"
                                     "<Code>BlobNotFound</Code></Error>");
  EXPECT_THAT(testing::error_of([&] { read_json(path); }),
              HasSubstr("config.json is XML, perhaps a server's error message, not the data"));
}

// https://github.com/eugr/spark-vllm-docker/pull/408
TEST(StandIn, LinksThatLeadNowhere) {
  const testing::TemporaryFolder folder;
  fs::create_symlink("../blobs/deadbeef", folder / "config.json");
  EXPECT_THAT(testing::error_of([&] { read_json(folder / "config.json"); }),
              HasSubstr("config.json is a link to ../blobs/deadbeef, which is not there"));
}

}  // namespace
}  // namespace foregate
