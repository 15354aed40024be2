#include "options/number_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <initializer_list>

#include "base/error.h"

namespace foregate {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// One option of each kind.
struct Program {
  CLI::App app;
  int64_t count = 7;
  int jobs = 8;
  std::vector<int> budgets;
  uint64_t seed = 0;
  std::optional<double> threshold;

  Program() {
    add_number_option(app, "--count", count, {1, kMostCounted}, "Counted");
    add_number_option(app, "--jobs", jobs, {1, 64}, "Jobs");
    add_number_option(app, "--budget", budgets, {1, 256}, "Budgets");
    add_seed_option(app, "--seed", seed, "Seed");
    add_probability_option(app, "--threshold", threshold, "Threshold");
  }
  void parse(std::vector<std::string> arguments) {
    std::reverse(arguments.begin(), arguments.end());  // as CLI11 wants them
    app.parse(arguments);
  }
};

/// What the program says of an option's value; empty if it takes it.
std::string refusal(const std::string& option, const std::string& value) {
  Program program;
  try {
    program.parse({option, value});
  } catch (const UsageError& error) {
    return error.what();
  } catch (const CLI::ParseError& error) {
    return error.what();
  }
  return "";
}

TEST(NumberOptions, WhatIsNoNumberIsRefusedInWords) {
  for (const char* option : {"--count", "--jobs", "--budget", "--seed", "--threshold"}) {
    for (const char* value : {"-1",       "-5",    "many",     "",      " ",
                              "5 ",       " 5",    "0x10",     "+5",    "5k",
                              "1,000",    "1_000", "5.",       "nan",   "-nan",
                              "inf",      "-inf",  "infinity", "1e999", "99999999999999999999999",
                              "\xd9\xa3", "5\n"}) {
      // A probability may end in a point.
      if (std::string(option) == "--threshold" && std::string(value) == "5.") continue;
      const std::string said = refusal(option, value);
      EXPECT_THAT(said, HasSubstr(std::string(option) + " is '")) << option << " " << value;
      EXPECT_THAT(said, HasSubstr("expected a ")) << option << " " << value;
      EXPECT_THAT(said, HasSubstr(" to ")) << option << " " << value;
    }
  }
}

TEST(NumberOptions, AWholeNumberIsWrittenAsOne) {
  for (const char* value : {"1e3", "1.0", "2.5", "0.5", ".5"}) {
    EXPECT_EQ(refusal("--count", value),
              std::string("--count is '") + value +
                  "'; expected a whole number from 1 to 1,000,000,000,000");
  }
}

TEST(NumberOptions, TheRangeIsTold) {
  EXPECT_EQ(refusal("--jobs", "65"), "--jobs is '65'; expected a whole number from 1 to 64");
  EXPECT_EQ(refusal("--jobs", "0"), "--jobs is '0'; expected a whole number from 1 to 64");
  EXPECT_EQ(refusal("--budget", "257"), "--budget is '257'; expected a whole number from 1 to 256");
  EXPECT_EQ(refusal("--seed", "18446744073709551616"),
            "--seed is '18446744073709551616'; expected a whole number from 0 to "
            "18446744073709551615");
  EXPECT_EQ(refusal("--threshold", "1.5"),
            "--threshold is '1.5'; expected a number from 0 to 1, such as 0.1");
}

TEST(NumberOptions, BothEndsCanBeMeant) {
  Program program;
  program.parse({"--count", "1000000000000", "--jobs", "1", "--budget", "1", "--budget", "256",
                 "--seed", "18446744073709551615", "--threshold", "1e-2"});
  EXPECT_EQ(program.count, 1'000'000'000'000);
  EXPECT_EQ(program.jobs, 1);
  EXPECT_THAT(program.budgets, ElementsAre(1, 256));
  EXPECT_EQ(program.seed, 18446744073709551615U);
  EXPECT_EQ(program.threshold, 0.01);
}

TEST(NumberOptions, ZerosInFrontAreNotOctal) {
  Program program;
  program.parse({"--count", "010"});
  EXPECT_EQ(program.count, 10);
}

TEST(NumberOptions, ABudgetTakesOneValueEach) {
  Program program;
  EXPECT_THROW(program.parse({"--budget", "1", "2"}), CLI::ParseError);
}

TEST(NumberOptions, WhatIsNotGivenStays) {
  Program program;
  program.parse({});
  EXPECT_EQ(program.count, 7);
  EXPECT_FALSE(program.threshold.has_value());
  EXPECT_THAT(program.app.help(), HasSubstr("--count NUMBER=7"));
}

}  // namespace
}  // namespace foregate
