#include "base/host_memory.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace foregate {
namespace {

class HostMemoryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() /
              ("foregate-host-memory-" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  void write(const char* name, const char* text) const { std::ofstream(folder_ / name) << text; }
  int64_t available() const { return available_host_memory(folder_ / "meminfo", folder_); }

  std::filesystem::path folder_;
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
