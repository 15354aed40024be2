// Records as the TFRecord and event.proto formats define them. tests/cli/test_tensorboard.py reads
// a training's file with the tensorboard package.
#include "predict/training/event_file.h"

#include <gtest/gtest.h>

#include "base/files.h"
#include "support/synthetic_trace.h"
#include "support/temporary_folder.h"

namespace foregate::predict {
namespace {

TEST(Crc32c, OfTheStandardsExamples) {
  // RFC 3720, B.4; and the usual check value.
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aaU);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43U);
  EXPECT_EQ(crc32c("123456789"), 0xe3069283U);
}

TEST(EventFile, FramesEveryEvent) {
  const testing::TemporaryFolder directory;
  EventFile events(directory.path() / "run");
  events.add("loss", 300, 0.5);
  const std::string bytes = read_file(events.path());
  std::vector<std::string> records;
  for (size_t at = 0; at < bytes.size();) {
    const auto size = static_cast<unsigned char>(bytes[at]);  // All are short.
    records.push_back(bytes.substr(at + 12, size));
    at += 12 + size + 4;
  }
  ASSERT_EQ(records.size(), 2U);
  // Key and wall time take 9 bytes; then step, and version or summary.
  EXPECT_EQ(records[0].substr(9), std::string("\x10\x00\x1a\x0d", 4) + "brain.Event:2");
  EXPECT_EQ(records[1].substr(9), std::string("\x10\xac\x02\x2a\x0d\x0a\x0b\x0a\x04", 9) + "loss" +
                                      std::string("\x15\x00\x00\x00\x3f", 5));
}

}  // namespace
}  // namespace foregate::predict
