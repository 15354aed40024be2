# Pcre2::Pcre2 from the system (libpcre2-dev).
find_library(PCRE2_LIBRARY pcre2-8)
find_path(PCRE2_INCLUDE pcre2.h)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Pcre2 REQUIRED_VARS PCRE2_LIBRARY PCRE2_INCLUDE
  REASON_FAILURE_MESSAGE "install libpcre2-dev (./run build does)")
if(Pcre2_FOUND AND NOT TARGET Pcre2::Pcre2)
  add_library(Pcre2::Pcre2 INTERFACE IMPORTED)
  target_include_directories(Pcre2::Pcre2 SYSTEM INTERFACE "${PCRE2_INCLUDE}")
  target_link_libraries(Pcre2::Pcre2 INTERFACE "${PCRE2_LIBRARY}")
endif()
