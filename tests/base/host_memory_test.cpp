#include "base/host_memory.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "support/temporary_folder.h"

namespace foregate {
namespace {

class HostMemoryTest : public ::testing::Test {
 protected:
  void write(const char* name, const char* text) const { temporary_.write(name, text); }
  int64_t available() const { return available_host_memory(folder_ / "meminfo", folder_); }

  testing::TemporaryFolder temporary_;
  const std::filesystem::path& folder_ = temporary_.path();
};

constexpr const char* kMeminfo =
    "MemTotal:       16000000 kB\nMemFree:         1000000 kB\nMemAvailable:    9000000 kB\n"
    "HugePages_Total:       0\nHugepagesize:       2048 kB\n";

TEST_F(HostMemoryTest, WhatTheSystemHas) {
  write("meminfo", kMeminfo);
  EXPECT_EQ(available(), 9'000'000 * 1024LL);
}

TEST_F(HostMemoryTest, AControlGroupMayAllowLess) {
  write("meminfo", kMeminfo);
  write("memory.max", "4000000000\n");
  write("memory.current", "3000000000\n");
  EXPECT_EQ(available(), 1'000'000'000);
  write("memory.stat", "anon 1000\ninactive_file 500000000\n");
  EXPECT_EQ(available(), 1'500'000'000);
  write("memory.current", "5000000000\n");
  write("memory.stat", "anon 1000\n");
  EXPECT_EQ(available(), 0);
}

TEST_F(HostMemoryTest, AnUnlimitedGroupLimitsNothing) {
  write("meminfo", kMeminfo);
  write("memory.max", "max\n");
  write("memory.current", "3000000000\n");
  EXPECT_EQ(available(), 9'000'000 * 1024LL);
}

TEST_F(HostMemoryTest, UnknownIsZero) {
  EXPECT_EQ(available(), 0);
}

TEST_F(HostMemoryTest, ThisMachineSays) {
  EXPECT_GT(available_host_memory(), 0);
}

}  // namespace
}  // namespace foregate
