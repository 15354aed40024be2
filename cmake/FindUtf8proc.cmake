# Utf8proc::Utf8proc from the system (libutf8proc-dev).
find_library(UTF8PROC_LIBRARY utf8proc)
find_path(UTF8PROC_INCLUDE utf8proc.h)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Utf8proc REQUIRED_VARS UTF8PROC_LIBRARY UTF8PROC_INCLUDE
  REASON_FAILURE_MESSAGE "install libutf8proc-dev (./run build does)")
if(Utf8proc_FOUND AND NOT TARGET Utf8proc::Utf8proc)
  add_library(Utf8proc::Utf8proc INTERFACE IMPORTED)
  target_include_directories(Utf8proc::Utf8proc SYSTEM INTERFACE "${UTF8PROC_INCLUDE}")
  target_link_libraries(Utf8proc::Utf8proc INTERFACE "${UTF8PROC_LIBRARY}")
endif()
